"""The lock of a run: it is held by the processes of the run, as long as one lives.

The launcher opens `run.lock`, locks it, and every process of the run inherits the
descriptor. So the lock lasts exactly as long as the last of them, however each ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tfagents_system.experiment.directory import Experiment


@contextlib.contextmanager
def open_lock(experiment: Experiment) -> Iterator[int]:
    """Opens the run's lock file and yields its descriptor, not locked yet."""
    descriptor = os.open(experiment.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Locks an open file; returns False if somebody else has it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_running(experiment: Experiment) -> bool:
    """Returns whether any process of the experiment's run lives."""
    if not experiment.lock.exists():
        return False
    with open_lock(experiment) as descriptor:
        return not try_lock(descriptor)


def lock_holders(experiment: Experiment) -> list[int]:
    """Returns the pids of the processes of the run: those with its lock file open."""
    if not experiment.lock.exists():
        return []
    lock = experiment.lock.stat()
    pids = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    opened = descriptor.stat()
                    if (opened.st_dev, opened.st_ino) == (lock.st_dev, lock.st_ino):
                        pids.append(int(process.name))
                        break
    return pids


def launcher_pid(experiment: Experiment) -> int | None:
    """Returns the pid of the living launcher of a run, or None."""
    if not experiment.launcher_pid.exists():
        return None
    with experiment.launcher_pid.open() as pid_file:
        if try_lock(pid_file.fileno()):
            return None
        return int(pid_file.read())
