"""The launcher's two locks: no second launch ever trains beside a first.

`launcher.pid` is locked by the launcher alone, `run.lock` by every process of the run.
Somebody may delete the files; the locks on them live on, and are found by their
holders. So the files themselves never decide.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tfagents_system.errors import UserError
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.launcher.console import say
from tfagents_system.launcher.stop import stop


class RunLocks:
    """Both locks of one launcher.

    Attributes:
      lock: The descriptor of `run.lock`, for the processes to inherit.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Opens both files, and locks the launcher's.

        Args:
          experiment: The experiment.

        Raises:
          UserError: Another launcher is at work, or the directory is not writable.
        """
        self._experiment = experiment
        self._opened = contextlib.ExitStack()
        try:
            self._place = run_lock.Place(experiment.root)
            self._opened.callback(self._place.close)
            self._launcher = self._open(experiment.launcher_pid)
            self.lock = self._open(experiment.lock)
        except OSError as error:
            self.close()
            raise UserError(
                f"cannot write in {experiment.root}: {error.strerror}"
            ) from error
        try:
            self._lock_launcher()
        except UserError:
            self.close()
            raise

    def close(self) -> None:
        """Gives up both locks, as far as no other process holds them."""
        self._opened.close()

    def keep(self) -> None:
        """Makes the files again if somebody has deleted them.

        Raises:
          UserError: The directory was moved or deleted, or another launch has begun.
        """
        self._place.check()
        with contextlib.suppress(OSError):  # It cannot be written now: next time.
            if not run_lock.is_at(self._launcher, self._experiment.launcher_pid):
                self._launcher = self._open(self._experiment.launcher_pid)
                self._lock_launcher()
            if not run_lock.is_at(self.lock, self._experiment.lock):
                self.lock = self._open(self._experiment.lock)
                run_lock.try_lock(self.lock)

    def check_place(self) -> None:
        """Checks that the experiment directory is where it was.

        Raises:
          UserError: It was moved or deleted.
        """
        self._place.check()

    def is_here(self) -> bool:
        """Returns whether the experiment directory is where it was."""
        return self._place.is_here()

    def _open(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._opened.callback(os.close, descriptor)
        return descriptor

    def _lock_launcher(self) -> None:
        """Locks `launcher.pid` and writes the pid into it."""
        is_locked = run_lock.try_lock_for_a_moment(self._launcher)
        # One whose file was deleted, or that has the lock.
        others = run_lock.holders(self._experiment.launcher_pid)
        if others or not is_locked:
            pid = run_lock.launcher_pid(self._experiment)
            raise UserError(
                f"{self._experiment.root} is being trained by the launcher with pid "
                f"{pid}; see scripts/status.sh, or stop it with "
                "scripts/stop_training.sh"
            )
        os.ftruncate(self._launcher, 0)
        os.pwrite(self._launcher, f"{os.getpid()}\n".encode(), 0)


@contextlib.contextmanager
def exclusive_run(experiment: Experiment) -> Iterator[RunLocks]:
    """Takes the experiment for this launcher; stops what a dead launcher left.

    Yields:
      The locks.

    Raises:
      UserError: Another launcher is at work on it.
    """
    locks = RunLocks(experiment)
    try:
        left = RunProcesses(experiment)
        if not run_lock.try_lock_for_a_moment(locks.lock) or left.pids():
            say("A launcher died and left processes of this run; stopping them.")
            stop(experiment, left)
            if not run_lock.try_lock(locks.lock):
                raise UserError(f"{experiment.lock} is still in use; try again")
        yield locks
    finally:
        locks.close()
