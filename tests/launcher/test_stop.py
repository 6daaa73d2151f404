"""Stopping a run: in order, in bounded time, and nothing is left."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.host.test_process_tree import state
from tests.launcher.conftest import SLEEP, StartServices, write_script, write_status
from tests.waiting import wait_for
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.status_file import LAUNCHER, Phase
from tfagents_system.host import process_tree
from tfagents_system.launcher import checkpoint_activity, daemontools, stop

# Sleeps until it is told to stop, then does `{slowly}`, and notes that it stopped.
NOTES_ITS_STOP = """
trap 'stopped=1' HUP
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
    its signal, but does not stop in time.
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
        collect_worker_0=f"trap '' HUP\nsleep 100 &\necho $! >child\ntouch up\n{SLEEP}"
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


# Says that it lives, again and again; stops as `NOTES_ITS_STOP`.
ANSWERS = NOTES_ITS_STOP.replace("sleep 0.05", "touch alive; sleep 0.05").format(
    slowly=":"
)
# Saves with the help of the replay server.
ASKS = body(
    "rm -f ../replay_server/alive\n"
    "until [ -e ../replay_server/alive ]; do sleep 0.05; done"
)


def pids_named(experiment: Experiment, command: str) -> list[int]:
    """Returns the processes of the run with a command line that begins so."""
    return [
        pid
        for pid in RunProcesses(experiment).pids()
        if command_line(pid).startswith(command)
    ]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def has_stopped(pid: int) -> bool:
    return state(pid) == "T"


@pytest.mark.parametrize(
    "commands",
    [
        ["service replay_server"],
        ["service learner", "supervise learner"],
        ["service collect_worker_0", "supervise replay_server"],
        ["svscan"],
        ["multilog"],
    ],
)
def test_whatever_was_stopped_by_a_signal_is_continued_first(
    experiment: Experiment, start: StartServices, commands: list[str]
) -> None:
    """The learner can save only with the help of a replay server that runs."""
    write_script(experiment.service("learner") / "log" / "run", "exec multilog ./main")
    start(replay_server=ANSWERS, learner=ASKS, collect_worker_0=body())
    wait_for(lambda: pids_named(experiment, "multilog"))
    for command in commands:
        kind, _, name = command.partition(" ")
        service = daemontools.pid_of(experiment, name) if kind == "service" else None
        for pid in [service] if service else pids_named(experiment, command):
            os.kill(pid, signal.SIGSTOP)
            wait_for(functools.partial(has_stopped, pid))
    stop.stop(experiment)
    assert stopped(experiment) == ["collect_worker_0", "learner", "replay_server"]
    assert RunProcesses(experiment).pids() == set()


def test_after_a_sigterm_to_all_of_a_job_the_learner_can_still_save(
    experiment: Experiment, start: StartServices
) -> None:
    """SLURM sends it at a preemption; the launcher, which has got it too, stops."""
    write_script(experiment.service("learner") / "log" / "run", "exec multilog ./main")
    start(replay_server=ANSWERS, learner=ASKS, collect_worker_0=body())
    process_tree.send(RunProcesses(experiment).pids(), signal.SIGTERM)
    stop.stop(experiment)
    assert stopped(experiment) == ["collect_worker_0", "learner", "replay_server"]
    assert RunProcesses(experiment).pids() == set()


def test_a_blocked_log_does_not_hold_up_the_stop(
    experiment: Experiment, start: StartServices
) -> None:
    """Its service waits in a write, which nobody reads."""
    write_script(experiment.service("learner") / "log" / "run", "exec multilog ./main")
    start(learner="touch up\nexec yes")
    wait_for(lambda: experiment.service_log("learner").exists())
    (multilog,) = pids_named(experiment, "multilog")
    os.kill(multilog, signal.SIGSTOP)
    stop.stop(experiment)
    assert RunProcesses(experiment).pids() == set()


def test_a_checkpoint_that_does_not_get_on_is_not_waited_for(
    experiment: Experiment,
    start: StartServices,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stop, "LEARNER_GRACE_SECS", 1.0)
    monkeypatch.setattr(checkpoint_activity, "QUIET_SECS", 0.5)
    write_status(experiment, "learner", Phase.CHECKPOINTING)
    start(learner=body("exec sleep 100"), replay_server=body())
    stop.stop(experiment)
    assert stopped(experiment) == ["replay_server"]
    assert run_lock.holders(experiment.lock) == []


@pytest.mark.parametrize("is_stopped", [False, True])
@pytest.mark.parametrize("heeds", [True, False])
def test_a_launcher_is_asked_and_killed_if_it_does_not_heed(
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
    heeds: bool,
    is_stopped: bool,
) -> None:
    monkeypatch.setattr(stop, "LAUNCHER_GRACE_SECS", 30.0 if heeds else 0.2)
    trap = "exit 3" if heeds else ":"
    code = f"trap '{trap}' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", code], stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"ready\n"
        if is_stopped:
            launcher.send_signal(signal.SIGSTOP)
        stop.stop_launcher(experiment, launcher.pid)
    assert launcher.returncode == (3 if heeds else -signal.SIGKILL)


@pytest.mark.parametrize("phase", [Phase.STOPPING, Phase.STOPPED])
def test_a_launcher_that_stops_its_run_gets_the_time(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    """Also to end when it has said that all is stopped."""
    monkeypatch.setattr(stop, "LAUNCHER_GRACE_SECS", 0.0)
    code = "trap 'sleep 0.5; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", code], stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"ready\n"
        write_status(experiment, LAUNCHER, phase, pid=launcher.pid)
        stop.stop_launcher(experiment, launcher.pid)
    assert launcher.returncode == 3
