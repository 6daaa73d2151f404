"""When a service that keeps crashing is given up."""

from __future__ import annotations

import pytest

from tests.launcher.conftest import fail, start, write_status
from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import Phase
from tfagents_system.launcher.crash_limit import (
    MAX_FAILURES_WITHOUT_PROGRESS,
    MAX_RESTARTS_WITHOUT_PROGRESS,
    CrashLimit,
)


def begin(experiment: Experiment, name: str) -> CrashLimit:
    """Counts from before the first start of a service in this run."""
    limit = CrashLimit(experiment, name)
    start(experiment, name)
    return limit


def look(limit: CrashLimit) -> None:
    """Looks at a service as the launcher does about once a second."""
    limit.notice_progress()
    if limit.notice_restarts():
        limit.check()


def test_a_learner_that_fails_at_one_step_again_and_again_is_given_up(
    experiment: Experiment,
) -> None:
    limit = begin(experiment, "learner")
    write_status(experiment, "learner", train_step=150)
    look(limit)
    for _ in range(MAX_FAILURES_WITHOUT_PROGRESS):
        for train_step in (100, 150):  # From its checkpoint on.
            write_status(experiment, "learner", train_step=train_step)
            look(limit)
        fail(experiment, "learner")
    with pytest.raises(UserError, match="learner failed 5 times without progress"):
        look(limit)
    assert limit.num_restarts == MAX_FAILURES_WITHOUT_PROGRESS


def test_one_failure_less_is_forgiven(experiment: Experiment) -> None:
    limit = begin(experiment, "learner")
    for train_step in range(1, 4):
        write_status(experiment, "learner", train_step=train_step)
        look(limit)
        for _ in range(MAX_FAILURES_WITHOUT_PROGRESS - 1):
            fail(experiment, "learner")
            look(limit)
    assert limit.num_restarts == 3 * (MAX_FAILURES_WITHOUT_PROGRESS - 1)


def test_a_service_that_is_killed_at_once_again_and_again_is_given_up(
    experiment: Experiment,
) -> None:
    limit = begin(experiment, "replay_server")
    for _ in range(MAX_RESTARTS_WITHOUT_PROGRESS):
        look(limit)
        start(experiment, "replay_server")
    with pytest.raises(UserError, match="replay_server ended 20 times"):
        look(limit)


def test_a_service_that_gets_further_between_its_restarts_is_not_given_up(
    experiment: Experiment,
) -> None:
    limit = begin(experiment, "replay_server")
    for step in range(1, 30):
        fail(experiment, "replay_server")
        write_status(experiment, "replay_server", env_steps=step)
        look(limit)
    assert limit.num_restarts == 29


def test_restarts_and_failures_of_earlier_runs_do_not_count(
    experiment: Experiment,
) -> None:
    start(experiment, "learner")
    for _ in range(MAX_RESTARTS_WITHOUT_PROGRESS):
        fail(experiment, "learner")
    limit = begin(experiment, "learner")
    look(limit)
    assert limit.num_restarts == 0
    fail(experiment, "learner")
    assert limit.notice_restarts()
    assert not limit.notice_restarts()
    limit.check()


def test_only_counters_are_progress(experiment: Experiment) -> None:
    """Whatever a service says it does, and however its status is damaged."""
    limit = begin(experiment, "learner")
    phases = [Phase.TRAINING, Phase.FINISHED, Phase.FAILED, Phase.CHECKPOINTING]
    for phase in phases:
        write_status(experiment, "learner", phase, failure="", env_steps=1000)
        look(limit)
        fail(experiment, "learner")
    experiment.status("learner").write_text("{")
    look(limit)
    fail(experiment, "learner")
    with pytest.raises(UserError, match="learner failed 5 times"):
        look(limit)


def test_a_count_that_somebody_deletes_goes_on(experiment: Experiment) -> None:
    limit = begin(experiment, "learner")
    look(limit)
    for failure in range(MAX_FAILURES_WITHOUT_PROGRESS - 1):
        fail(experiment, "learner")
        look(limit)
        if failure == 2:
            (experiment.service("learner") / "num_starts").unlink()
            (experiment.service("learner") / "num_failures").unlink()
            look(limit)
    assert limit.num_restarts == MAX_FAILURES_WITHOUT_PROGRESS - 1
    fail(experiment, "learner")
    with pytest.raises(UserError, match="learner failed 5 times"):
        look(limit)
