"""Stops every process of a run, in bounded time."""

from __future__ import annotations

import logging
import shutil
import signal
import time
from pathlib import Path

from tfagents_system.experiment import services, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.status_file import LAUNCHER, Phase, Status
from tfagents_system.experiment.stopping import (
    CHECKPOINT_GRACE_SECS,
    LEARNER_GRACE_SECS,
    STOP_GRACE_SECS,
)
from tfagents_system.host import process_tree
from tfagents_system.launcher.checkpoint_activity import CheckpointActivity
from tfagents_system.launcher.daemontools import (
    POLL_SECS,
    service_folders,
    svc,
    tell_to_stop,
    wait_down,
)

# From a launcher's SIGTERM until it says that it stops its run, and until it has.
LAUNCHER_GRACE_SECS = 10.0
LAUNCHER_STOP_SECS = CHECKPOINT_GRACE_SECS + 60.0

logger = logging.getLogger(__name__)


def stop(experiment: Experiment, run: RunProcesses | None = None) -> None:
    """Stops every process of the run.

    In order: the workers, so that what they wrote is in the last checkpoint; the
    learner, which saves itself and the replay; the replay server; the logs; what the
    services have left. What does not stop is killed.

    Args:
      experiment: The experiment; its directory is where its processes think it is.
      run: Its processes; None: they are found by the experiment.

    Raises:
      UserError: A process cannot be killed.
    """
    run = run or RunProcesses(experiment)
    run.wake()
    _stop_svscan(run)
    folders = service_folders(experiment)
    learner = [f for f in folders if f.name == services.LEARNER]
    workers = [f for f in folders if services.is_worker(f.name)]
    tell_to_stop(workers)
    wait_down(experiment, workers, STOP_GRACE_SECS)
    tell_to_stop(learner)
    is_down = wait_down(experiment, learner, LEARNER_GRACE_SECS) or (
        _wait_for_checkpoint(experiment, learner)
    )
    others = [f for f in folders if f not in learner]
    tell_to_stop(others)
    if not wait_down(experiment, others, STOP_GRACE_SECS) or not is_down:
        svc("-k", folders)
        wait_down(experiment, folders, STOP_GRACE_SECS)
    svc("-dx", [*folders, *(folder / "log" for folder in folders)])
    _end_leftovers(run)
    shutil.rmtree(experiment.temporary_files, ignore_errors=True)


def stop_launcher(experiment: Experiment, pid: int) -> None:
    """Lets a launcher stop its run, and waits for its end; kills one that does not.

    Args:
      experiment: The experiment.
      pid: The launcher's.
    """
    asked_at = time.monotonic()
    started_at = process_tree.started_at(pid)
    process_tree.send([pid], signal.SIGTERM)
    process_tree.send([pid], signal.SIGCONT)  # It may have been stopped by Ctrl-Z.
    while process_tree.started_at(pid) == started_at is not None:
        status = status_file.read_status(experiment, LAUNCHER, Status)
        is_at_it = status.pid == pid and status.phase in (Phase.STOPPING, Phase.STOPPED)
        grace_secs = LAUNCHER_STOP_SECS if is_at_it else LAUNCHER_GRACE_SECS
        if time.monotonic() - asked_at > grace_secs:
            logger.warning("killing the launcher (pid %d), which did not stop", pid)
            process_tree.send([pid], signal.SIGKILL)
        time.sleep(POLL_SECS)


def _wait_for_checkpoint(experiment: Experiment, learner: list[Path]) -> bool:
    """Waits while the last checkpoint gets on; returns whether the learner is down."""
    activity = CheckpointActivity(experiment)
    deadline = time.monotonic() + CHECKPOINT_GRACE_SECS
    while (
        status_file.read_learner(experiment).phase is Phase.CHECKPOINTING
        and activity.goes_on()
        and time.monotonic() < deadline
    ):
        if wait_down(experiment, learner, 1.0):
            return True
    return False


def _stop_svscan(run: RunProcesses) -> None:
    """Stops the svscan of the run; it would start a supervise again."""
    pids = [pid for pid in run.pids() if _command_name(pid) == "svscan"]
    process_tree.send(pids, signal.SIGKILL)


def _end_leftovers(run: RunProcesses) -> None:
    """Waits until no process of the run is left; kills what takes too long."""
    # What services have started is told; supervise and its logs have been.
    process_tree.send(run.strays(), signal.SIGTERM)
    deadline = time.monotonic() + STOP_GRACE_SECS
    while pids := run.pids():
        process_tree.reap()
        if time.monotonic() > deadline:
            logger.warning("killing what did not stop: %s", sorted(pids))
            run.kill()
        time.sleep(POLL_SECS)
    process_tree.reap()


def _command_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
