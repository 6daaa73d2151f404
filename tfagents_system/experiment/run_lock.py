"""The lock of a run: it is held by the processes of the run, as long as one lives.

The launcher opens `run.lock`, locks it, and every process of the run inherits the
descriptor. So the lock lasts exactly as long as the last of them, however each ends,
and wherever the experiment directory is moved meanwhile. A training in one process
locks the same file for itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment

# How long scripts/status.sh, for example, may hold a lock: `is_running`.
LOOK_SECS = 1.0


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


def try_lock_for_a_moment(descriptor: int) -> bool:
    """As `try_lock`, but bears with whoever only looks whether the lock is free."""
    deadline = time.monotonic() + LOOK_SECS
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Returns whether an open file is the one at a path, and not one deleted there."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def is_running(experiment: Experiment) -> bool:
    """Returns whether any process of the experiment's run lives."""
    if experiment.lock.exists():
        with open_lock(experiment) as descriptor:
            if not try_lock(descriptor):
                return True
    return bool(holders(experiment.lock))


def holders(lock: Path | int) -> list[int]:
    """Returns the pids of the processes that hold a lock, this one not among them.

    Whoever merely has the file open, such as `tail -f`, does not hold it: the kernel
    lists a lock with each descriptor that shares it.

    Args:
      lock: The path of the lock file, also of one that was deleted; or a descriptor of
        it, which finds it wherever it was moved.
    """
    deleted = ""
    file: os.stat_result | None = None
    if isinstance(lock, int):
        file = os.fstat(lock)
    else:
        deleted = f"{os.path.realpath(lock)} (deleted)"
        with contextlib.suppress(OSError):
            file = lock.stat()
    pids = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if any(_holds(fd, file, deleted) for fd in (process / "fd").iterdir()):
                pids.append(int(process.name))
    return sorted(pids)


def _holds(descriptor: Path, file: os.stat_result | None, deleted: str) -> bool:
    """Returns whether a descriptor in /proc has a lock on a file, deleted or not."""
    try:
        is_file = file is not None and os.path.samestat(descriptor.stat(), file)
        if not is_file and str(descriptor.readlink()) != deleted:
            return False
        info = descriptor.parent.with_name("fdinfo") / descriptor.name
        return any(
            line.startswith("lock:") and " FLOCK " in line
            for line in info.read_text().splitlines()
        )
    except OSError:  # It has been closed.
        return False


def launcher_pid(experiment: Experiment) -> int | None:
    """Returns the pid of the living launcher of a run, or None; never this process."""
    if pids := holders(experiment.launcher_pid):
        return pids[0]
    if not experiment.launcher_pid.exists():
        return None
    with experiment.launcher_pid.open() as pid_file:  # One on another machine?
        if try_lock(pid_file.fileno()):
            return None
        pid = pid_file.read().strip()
        return int(pid) if pid.isdecimal() else None


class Place:
    """Whether a directory is still where it was when this was made."""

    def __init__(self, root: Path) -> None:
        """Remembers the directory, by an open descriptor.

        Args:
          root: The directory.
        """
        self._root = root
        self._descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)

    def close(self) -> None:
        """Closes the descriptor."""
        os.close(self._descriptor)

    def is_here(self) -> bool:
        """Returns whether the path leads to that directory and not to another."""
        try:
            found = self._root.stat()
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self._descriptor))

    def check(self) -> None:
        """Checks that the directory is where it was.

        Raises:
          UserError: It was moved or deleted.
        """
        if not self.is_here():
            raise UserError(
                f"{self._root} was moved or deleted while it was being trained; "
                "training ends here. Where it was moved, the same command with the "
                "new place resumes from its last checkpoint"
            )
