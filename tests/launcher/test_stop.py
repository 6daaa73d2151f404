"""Stopping a run: in order, in bounded time, and nothing is left."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.launcher.conftest import SLEEP, StartServices, write_status
from tests.waiting import wait_for
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import Phase
from tfagents_system.launcher import daemontools, stop

# Sleeps until TERM, then does `{slowly}`, and notes that it stopped.
NOTES_ITS_STOP = """
trap 'stopped=1' TERM
echo up >up
while [ -z "$stopped" ]; do sleep 0.05; done
rm up
{slowly}
echo "${{PWD##*/}}" >>../../stopped
"""


def body(slowly: str = ":") -> str:
    """Returns the run script of a service that notes its stop."""
    return NOTES_ITS_STOP.format(slowly=slowly)


def stopped(experiment: Experiment) -> list[str]:
    """Returns the services that stopped by themselves, in that order."""
    path = experiment.root / "stopped"
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def start(experiment: Experiment, start_services: StartServices) -> StartServices:
    """Returns a function as `start_services`, for scripts that write the file `up`."""

    def start_all(**bodies: str) -> None:
        start_services(**bodies)
        for name in bodies:
            wait_for((experiment.service(name) / "up").exists)

    return start_all


@pytest.fixture
def short_learner_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the learner one second.

    supervise takes no command in the first second of a process: the learner here gets
    its TERM, but does not stop in time.
    """
    monkeypatch.setattr(stop, "LEARNER_GRACE_SECS", 1.0)


def test_workers_stop_first_and_the_replay_server_last(
    experiment: Experiment, start: StartServices
) -> None:
    start(replay_server=body(), learner=body(), collect_worker_0=body("sleep 0.3"))
    experiment.temporary_files.mkdir()
    (experiment.temporary_files / "of TensorFlow").touch()
    assert run_lock.holders(experiment.lock)
    stop.stop(experiment)
    assert stopped(experiment) == ["collect_worker_0", "learner", "replay_server"]
    assert run_lock.holders(experiment.lock) == []
    assert not experiment.temporary_files.exists()
    for folder in daemontools.service_folders(experiment):
        assert daemontools.pid_of(experiment, folder.name) is None


@pytest.mark.usefixtures("short_learner_grace")
def test_a_learner_that_writes_its_checkpoint_gets_the_time(
    experiment: Experiment, start: StartServices
) -> None:
    write_status(experiment, "learner", Phase.CHECKPOINTING)
    start(learner=body("sleep 2"), replay_server=body())
    stop.stop(experiment)
    assert stopped(experiment) == ["learner", "replay_server"]


@pytest.mark.parametrize(
    ("phase", "failure"),
    [(Phase.TRAINING, ""), (Phase.FAILED, "checkpointing")],
)
@pytest.mark.usefixtures("short_learner_grace")
def test_a_learner_that_does_not_is_killed(
    experiment: Experiment,
    start: StartServices,
    phase: Phase,
    failure: str,
) -> None:
    write_status(experiment, "learner", phase, failure=failure, state="checkpointing")
    start(learner=body("exec sleep 100"), replay_server=body())
    started = time.monotonic()
    stop.stop(experiment)
    assert time.monotonic() - started < 10
    assert stopped(experiment) == ["replay_server"]
    assert run_lock.holders(experiment.lock) == []


@pytest.mark.usefixtures("short_learner_grace")
def test_a_checkpoint_that_takes_for_ever_is_given_up(
    experiment: Experiment,
    start: StartServices,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stop, "CHECKPOINT_GRACE_SECS", 0.5)
    write_status(experiment, "learner", Phase.CHECKPOINTING)
    start(learner=body("exec sleep 100"))
    stop.stop(experiment)
    assert stopped(experiment) == []
    assert run_lock.holders(experiment.lock) == []


def test_what_ignores_every_request_is_killed(
    experiment: Experiment,
    start: StartServices,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stop, "STOP_GRACE_SECS", 1.0)
    # The second sleep is nobody's service: its supervise does not know it.
    start(
        collect_worker_0=f"trap '' TERM\nsleep 100 &\necho $! >child\ntouch up\n{SLEEP}"
    )
    child = experiment.service("collect_worker_0") / "child"
    process = Path(f"/proc/{int(child.read_text())}")
    assert (process / "fd").exists()
    stop.stop(experiment)
    assert run_lock.holders(experiment.lock) == []
    state = (process / "stat").read_text().split()[2] if process.exists() else "gone"
    assert state in ("Z", "gone")


def test_services_come_up_again_after_a_stop(
    experiment: Experiment, start: StartServices
) -> None:
    start(learner=body())
    stop.stop(experiment)
    start(learner=body())
    stop.stop(experiment)
    assert stopped(experiment) == ["learner", "learner"]


def test_nothing_is_stopped_where_nothing_runs(experiment: Experiment) -> None:
    stop.stop(experiment)
    assert list(experiment.root.iterdir()) == []
