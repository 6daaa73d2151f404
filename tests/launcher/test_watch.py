"""What the launcher says of a run, from the status files of its processes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment, write_json
from tfagents_system.experiment.progress import read_progress
from tfagents_system.launcher.watch import (
    MAX_FAILURES_WITHOUT_PROGRESS,
    MAX_RESTARTS_WITHOUT_PROGRESS,
    Watch,
)

NAMES = ["replay_server", "learner", "collect_worker_0", "collect_worker_1"]


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Returns an experiment whose processes have just got on."""
    experiment = Experiment(tmp_path)
    for name in NAMES:
        write_status(experiment, name, progress_at=time.time())
    return experiment


def begin_watch(experiment: Experiment) -> Watch:
    """Watches a run from before its services are first started."""
    watch = Watch(experiment, NAMES)
    for name in NAMES:
        start(experiment, name)
    return watch


def write_status(experiment: Experiment, name: str, **fields: Any) -> None:
    write_json(experiment.status(name), {"state": "working", **fields})


def start(experiment: Experiment, name: str) -> None:
    """Counts one more start of a service, as its run script does."""
    folder = experiment.service(name)
    (folder / "log" / "main").mkdir(parents=True, exist_ok=True)
    with (folder / "starts").open("a") as starts:
        starts.write("0\n")
    experiment.service_log(name).write_text(f"the last words of {name}\n")


def fail(experiment: Experiment, name: str) -> None:
    """Lets a service end with an error and be restarted."""
    with (experiment.service(name) / "failures").open("a") as failures:
        failures.write("0\n")
    start(experiment, name)


def test_one_failing_worker_is_given_up_though_the_others_get_on(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = begin_watch(experiment)
    for step in range(1, MAX_FAILURES_WITHOUT_PROGRESS + 1):
        watch.poll()
        write_status(experiment, "learner", train_step=step)
        write_status(experiment, "collect_worker_0", worker_env_steps=step)
        fail(experiment, "collect_worker_1")
    with pytest.raises(UserError, match="collect_worker_1 failed 5 times"):
        watch.poll()
    assert "the last words of collect_worker_1" in capsys.readouterr().out


def test_a_learner_that_fails_at_one_step_again_and_again_is_given_up(
    experiment: Experiment,
) -> None:
    watch = begin_watch(experiment)
    write_status(experiment, "learner", train_step=150)
    watch.poll()
    for _ in range(MAX_FAILURES_WITHOUT_PROGRESS):
        for train_step in (100, 150):  # From its checkpoint on.
            write_status(experiment, "learner", train_step=train_step)
            watch.poll()
        fail(experiment, "learner")
    with pytest.raises(UserError, match="learner failed 5 times without progress"):
        watch.poll()


def test_a_service_that_is_killed_at_once_again_and_again_is_given_up(
    experiment: Experiment,
) -> None:
    watch = begin_watch(experiment)
    for _ in range(MAX_RESTARTS_WITHOUT_PROGRESS):
        watch.poll()
        start(experiment, "replay_server")
    with pytest.raises(UserError, match="replay_server ended 20 times"):
        watch.poll()


def test_a_service_that_gets_on_between_its_restarts_is_not_given_up(
    experiment: Experiment,
) -> None:
    watch = begin_watch(experiment)
    for step in range(1, 30):
        fail(experiment, "replay_server")
        write_status(experiment, "replay_server", env_steps=step)
        watch.poll()


def test_no_progress_becomes_visible(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = begin_watch(experiment)
    watch.poll()
    assert "NO PROGRESS" not in read_progress(experiment, NAMES).line(0)
    for name in NAMES:
        write_status(experiment, name, progress_at=time.time() - 420)
    watch.poll()
    assert "NO PROGRESS FOR 7 MIN" in read_progress(experiment, NAMES).line(0)
    output = capsys.readouterr().out
    assert "error: no progress for 7 min; what the processes do:" in output
    assert "learner: working; log: " in output
    watch.poll()  # Not again a second later.
    assert "error: no progress" not in capsys.readouterr().out


def test_a_problem_that_training_survives_is_shown_until_it_is_over(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = begin_watch(experiment)
    write_status(experiment, "learner", problem="no checkpoint: disk full")
    watch.poll()
    assert "error: no checkpoint: disk full\n" in capsys.readouterr().out
    assert "no checkpoint: disk full | " in read_progress(experiment, NAMES).line(0)
    write_status(experiment, "learner", problem="")
    watch.poll()
    assert "Saved again." in capsys.readouterr().out
