"""Stops every process of a run, in bounded time."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import time
from pathlib import Path

from tfagents_system.experiment import run_lock, services, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import Phase
from tfagents_system.experiment.stopping import (
    CHECKPOINT_GRACE_SECS,
    LEARNER_GRACE_SECS,
    STOP_GRACE_SECS,
)
from tfagents_system.host.process_tree import reap
from tfagents_system.launcher.daemontools import (
    POLL_SECS,
    service_folders,
    svc,
    wait_down,
)

logger = logging.getLogger(__name__)


def stop(experiment: Experiment) -> None:
    """Stops every process of the run.

    In order: the workers, so that what they wrote is in the last checkpoint; the
    learner, which saves itself and the replay; the replay server; the logs. What does
    not stop is killed.
    """
    _stop_svscan(experiment)
    folders = service_folders(experiment)
    learner = [f for f in folders if f.name == services.LEARNER]
    workers = [f for f in folders if services.is_worker(f.name)]
    svc("-d", workers)
    wait_down(experiment, workers, STOP_GRACE_SECS)
    svc("-d", learner)
    is_down = wait_down(experiment, learner, LEARNER_GRACE_SECS)
    started = time.monotonic()
    while (
        not is_down
        and status_file.read_learner(experiment).phase is Phase.CHECKPOINTING
        and time.monotonic() - started < CHECKPOINT_GRACE_SECS
    ):
        is_down = wait_down(experiment, learner, 1.0)
    others = [f for f in folders if f not in learner]
    svc("-d", others)
    if not wait_down(experiment, others, STOP_GRACE_SECS) or not is_down:
        svc("-k", folders)
        wait_down(experiment, folders, STOP_GRACE_SECS)
    svc("-dx", [*folders, *(folder / "log" for folder in folders)])
    _kill_leftovers(experiment)
    shutil.rmtree(experiment.temporary_files, ignore_errors=True)


def _stop_svscan(experiment: Experiment) -> None:
    """Stops the svscan of the run; it would start a supervise again."""
    for pid in run_lock.holders(experiment.lock):
        if _command_name(pid) == "svscan":
            _kill(pid, signal.SIGTERM)


def _kill_leftovers(experiment: Experiment) -> None:
    """Waits until no process of the run is left; kills what takes too long."""
    deadline = time.monotonic() + STOP_GRACE_SECS
    killed: set[int] = set()
    while pids := run_lock.holders(experiment.lock):
        reap()
        if time.monotonic() > deadline and not killed.issuperset(pids):
            logger.warning("killing what did not stop: %s", pids)
            for pid in pids:
                _kill(pid, signal.SIGKILL)
            killed.update(pids)
        time.sleep(POLL_SECS)
    reap()


def _kill(pid: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def _command_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
