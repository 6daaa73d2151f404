"""The live line of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tfagents_system.experiment.progress import STALL_SECS, Progress
from tfagents_system.experiment.status_file import Awaited, LearnerStatus, Phase
from tfagents_system.launcher.wording import progress_line

LEARNER = LearnerStatus(
    phase=Phase.TRAINING,
    train_step=1500,
    iteration=30,
    num_iter=100,
    num_steps_per_iter=50,
    train_steps_per_sec=99.6,
    env_steps_per_sec=1000.4,
)
PROGRESS = Progress(
    learner=LEARNER,
    env_steps=12345,
    train_return=-1234.5,
    eval_return=None,
    train_success_rate=None,
    eval_success_rate=None,
    stalled_secs=0.0,
)
LINE = (
    "training | iteration 30/100 | env steps 12,345 (1000/s) | train steps 1,500 "
    "(100/s) | return train -1.23e+03 eval - | restarts 2 | ETA 0:00:35"
)


def line(learner: dict[str, Any] | None = None, **changes: Any) -> str:
    """Returns the line with some fields of learner and progress changed."""
    changed = dataclasses.replace(LEARNER, **(learner or {}))
    return progress_line(dataclasses.replace(PROGRESS, learner=changed, **changes), 2)


def test_a_run_in_one_line() -> None:
    assert progress_line(PROGRESS, 2) == LINE


def test_before_the_learner_has_started_nothing_is_known() -> None:
    nothing = Progress(
        LearnerStatus(phase=Phase.NOT_STARTED), 0, None, None, None, None, 0.0
    )
    assert progress_line(nothing, 0) == (
        "not started | iteration 0/0 | env steps 0 (0/s) | train steps 0 (0/s) | "
        "return train - eval - | restarts 0 | ETA -"
    )


def test_a_wait_says_for_what() -> None:
    wait = {"phase": Phase.WAITING, "waiting_for": Awaited.WARM_UP, "min_rows": 600}
    assert line({**wait, "num_rows": 50}).startswith(
        "waiting for the first experience (50 of 600 rows) | iteration "
    )


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ((None, None), None),
        ((0.5, None), "success train 0.5 eval - | restarts"),
        ((0.5, 1.0), "success train 0.5 eval 1 | restarts"),
        ((None, 0.0), "success train - eval 0 | restarts"),
    ],
)
def test_successes_show_where_an_environment_says(
    rates: tuple[float | None, float | None], words: str | None
) -> None:
    shown = line(train_success_rate=rates[0], eval_success_rate=rates[1])
    assert "success" in shown if words else shown == LINE
    assert (words or "") in shown


def test_what_is_wrong_comes_first() -> None:
    problem = "no checkpoint: OSError: disk full"
    assert line({"problem": problem}) == f"{problem} | {LINE}"
    assert line(stalled_secs=STALL_SECS - 1) == LINE
    assert line({"problem": problem}, stalled_secs=420.0) == (
        f"NO PROGRESS FOR 7 MIN | {problem} | {LINE}"
    )


@pytest.mark.parametrize(
    ("learner", "eta"),
    [
        ({"train_steps_per_sec": 0.0}, "-"),
        ({"num_iter": 0}, "-"),
        ({"train_steps_per_sec": 0.01}, "4 days, 1:13:20"),
        ({"train_step": 5000}, "0:00:00"),
    ],
)
def test_the_time_left_follows_from_the_rate(learner: dict[str, Any], eta: str) -> None:
    assert line(learner).endswith(f"ETA {eta}")
