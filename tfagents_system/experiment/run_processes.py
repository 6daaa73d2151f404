"""Finds every process of a run, however it hides.

All processes of a run inherit SAC_RUN_ID, and what a service starts, such as a
simulator of an environment, SAC_SERVICE_PID as well. Neither a session of its own nor
a double fork changes that. Those that clear their environment are found as long as they
hold the run's lock, or descend from the launcher, which adopts orphans.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tfagents_system.errors import UserError
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host import process_tree

POLL_SECS = 0.1
# How long SIGKILL may take: a process that waits for a disk dies when that answers.
KILL_GRACE_SECS = 10.0


class RunProcesses:
    """The processes of one run; this one is never among them.

    Attributes:
      run_ids: What `pids` has found their run to be; several where a dead launcher's
        are left.
    """

    def __init__(
        self, experiment: Experiment, lock: int | None = None, run_id: str = ""
    ) -> None:
        """Looks at nothing yet.

        Args:
          experiment: The experiment.
          lock: The launcher's descriptor of the run's lock; it finds the holders
            wherever the directory is. None: this process is not the run's launcher.
          run_id: The run's id, where it is known; others are found by their lock.
        """
        self._root = os.path.realpath(experiment.root)
        self._lock: Path | int = experiment.lock if lock is None else lock
        self.run_ids = {run_id} - {""}
        self._is_launcher = lock is not None
        # Children that the launcher's shell had, such as `tee`, are not the run's.
        self._others = self._descendants()

    def pids(self) -> set[int]:
        """Returns the pids of all living processes of the run."""
        holders = set(run_lock.holders(self._lock))
        marked = {
            pid: environ
            for pid in process_tree.living()
            if "SAC_RUN_ID" in (environ := process_tree.environ(pid))
        }
        self.run_ids |= {
            environ["SAC_RUN_ID"]
            for pid, environ in marked.items()
            if pid in holders or self._is_root(environ.get("SAC_EXP_DIR", ""))
        }
        of_run = {
            pid
            for pid, environ in marked.items()
            if environ["SAC_RUN_ID"] in self.run_ids
        }
        return holders | of_run | (self._descendants() - self._others)

    def strays(self) -> set[int]:
        """Returns those that a service started whose own process has ended since."""
        found = set()
        for pid in self.pids():
            owner = process_tree.environ(pid).get("SAC_SERVICE_PID", "")
            if owner.isdecimal() and not _is_older(int(owner), pid):
                found.add(pid)
        return found

    def wake(self) -> None:
        """Continues those that were stopped: they could not act on anything else."""
        process_tree.send(self.pids(), signal.SIGCONT)

    def kill(self) -> None:
        """Kills them all.

        Raises:
          UserError: Some are still there after a while.
        """
        deadline = time.monotonic() + KILL_GRACE_SECS
        while pids := self.pids():
            process_tree.send(pids, signal.SIGKILL)
            process_tree.reap()
            if time.monotonic() > deadline:
                names = ", ".join(str(pid) for pid in sorted(pids))
                raise UserError(
                    f"cannot end the processes {names} of {self._root}; they wait for "
                    "a disk that does not answer, or belong to another user"
                )
            time.sleep(POLL_SECS)
        process_tree.reap()

    def kill_strays(self) -> None:
        """Kills the strays, so that they do not pile up over restarts."""
        deadline = time.monotonic() + KILL_GRACE_SECS
        while (pids := self.strays()) and time.monotonic() < deadline:
            process_tree.send(pids, signal.SIGKILL)
            process_tree.reap()
            time.sleep(POLL_SECS)

    def _is_root(self, exp_dir: str) -> bool:
        return bool(exp_dir) and os.path.realpath(exp_dir) == self._root

    def _descendants(self) -> set[int]:
        return process_tree.descendants(os.getpid()) if self._is_launcher else set()


def _is_older(pid: int, other: int) -> bool:
    """Returns whether a process lives and is not younger than another.

    A younger one has only got the pid of one that has ended.
    """
    started = process_tree.started_at(pid)
    return started is not None and started <= (process_tree.started_at(other) or 0)
