"""Watches a run for the launcher: the live line, restarts, and when it is done."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Callable

from tfagents_system.experiment import services, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.progress import (
    STALL_SECS,
    Progress,
    read_progress,
)
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.status_file import Phase
from tfagents_system.host.process_tree import reap
from tfagents_system.launcher import daemontools, wording
from tfagents_system.launcher.console import say
from tfagents_system.launcher.crash_limit import CrashLimit
from tfagents_system.launcher.run_locks import RunLocks
from tfagents_system.launcher.stuck_logs import StuckLogs

POLL_SECS = 1.0
# Between two lines where the output is no terminal.
QUIET_PERIOD_SECS = 30.0
NUM_ERROR_LINES = 15
# After DONE the workers evaluate the final policy; the launcher waits at most so long.
FINAL_EVALUATION_SECS = 1800.0


class Watch:
    """Watches a run: shows its progress, and notices what keeps failing."""

    def __init__(self, experiment: Experiment, names: Sequence[str]) -> None:
        """Counts restarts from now on.

        Args:
          experiment: The experiment.
          names: Its services.
        """
        self._experiment = experiment
        self._limits = {name: CrashLimit(experiment, name) for name in names}
        self._stuck_logs = StuckLogs(experiment, names)
        self._problem = ""
        self._stall_shown_at = 0.0
        self._shown_at = 0.0
        self._is_terminal = sys.stdout.isatty()

    def poll(self) -> bool:
        """Looks once: shows the live line and every restart.

        Returns:
          Whether any service was restarted since the last time.

        Raises:
          UserError: A service failed too often without progress in between.
        """
        progress = read_progress(self._experiment, list(self._limits))
        has_restarts = False
        for name, limit in self._limits.items():
            limit.notice_progress()
            if limit.notice_restarts():
                has_restarts = True
                self._show_restart(name, limit)
        for name in self._stuck_logs.end():
            self.end_line()
            say(f"the log of {name} was stuck and is started again")
        self._show_problem(progress)
        self._show_stall(progress)
        self._show(progress)
        return has_restarts

    def end_line(self) -> None:
        """Ends the live line; call it before printing anything else."""
        if self._is_terminal and self._shown_at:
            say("")
            self._shown_at = 0.0

    def _show_restart(self, name: str, limit: CrashLimit) -> None:
        self.end_line()
        log = self._experiment.service_log(name)
        count = limit.num_restarts
        say(f"{name} ended and was restarted ({count} so far); its log: {log}")
        try:
            limit.check()
        except Exception:
            for line in services.last_log_lines(
                self._experiment, name, NUM_ERROR_LINES
            ):
                say(f"  {line}")
            raise

    def _show_problem(self, progress: Progress) -> None:
        if progress.learner.problem != self._problem:
            self._problem = progress.learner.problem
            self.end_line()
            say(f"error: {self._problem}" if self._problem else "Saved again.")

    def _show_stall(self, progress: Progress) -> None:
        now = time.monotonic()
        if not progress.is_stalled or now - self._stall_shown_at < STALL_SECS:
            return
        self._stall_shown_at = now
        self.end_line()
        minutes = progress.stalled_secs / 60
        say(f"error: no progress for {minutes:.0f} min; what each process is doing:")
        for name in self._limits:
            doing = status_file.read_service(self._experiment, name).describe()
            say(f"  {name}: {doing}; log: {self._experiment.service_log(name)}")

    def _show(self, progress: Progress) -> None:
        now = time.monotonic()
        restarts = sum(limit.num_restarts for limit in self._limits.values())
        line = wording.progress_line(progress, restarts)
        if self._is_terminal:
            width = os.get_terminal_size().columns - 1
            say(f"\r{line[:width]:<{width}}", end="")
            self._shown_at = now
        elif now - self._shown_at >= QUIET_PERIOD_SECS:
            say(line)
            self._shown_at = now


def watch_until_done(
    experiment: Experiment,
    names: Sequence[str],
    environment: Mapping[str, str],
    locks: RunLocks,
    run: RunProcesses,
    each_second: Callable[[], bool | None] = lambda: None,
) -> bool:
    """Starts the services and returns when training is complete.

    Args:
      experiment: The experiment; its service directories are complete.
      names: Its services.
      environment: The environment of all processes.
      locks: The run's locks.
      run: The run's processes.
      each_second: Called each second; returns whether to return though it is not.

    Returns:
      Whether training is complete.

    Raises:
      UserError: A service keeps failing, or the directory was moved or deleted.
      StopRequested: By a signal.
    """
    watch = Watch(experiment, names)
    svscan = daemontools.start(experiment, environment, locks.lock)
    done_at: float | None = None
    try:
        while True:
            time.sleep(POLL_SECS)
            reap()
            locks.keep()
            if svscan.poll() is not None:  # Killed; supervise runs on without it.
                svscan = daemontools.start(experiment, environment, locks.lock)
            if watch.poll():
                run.kill_strays()
            if each_second():
                return False
            if not experiment.done.exists():
                continue
            done_at = done_at or time.monotonic()
            is_late = time.monotonic() - done_at > FINAL_EVALUATION_SECS
            if is_late or have_workers_finished(experiment, names):
                return True
    finally:
        watch.end_line()
        daemontools.end(svscan)


def have_workers_finished(experiment: Experiment, names: Sequence[str]) -> bool:
    """Returns whether each collect worker has evaluated the final policy."""
    return all(
        status_file.read_worker(experiment, name).phase is Phase.FINISHED
        for name in names
        if services.is_worker(name)
    )
