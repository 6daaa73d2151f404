"""Watches a run for the launcher: the live line, restarts, and when it is done."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.progress import (
    STALL_SECS,
    Progress,
    read_progress,
    read_status,
)
from tfagents_system.launcher import daemontools
from tfagents_system.launcher.topology import COLLECT_WORKER

POLL_SECS = 1.0
# Between two lines where the output is no terminal.
QUIET_PERIOD_SECS = 30.0
# What grows in a service's status as it works.
COUNTERS = ("train_step", "env_steps", "worker_env_steps", "worker_eval_episodes")
# The run ends when one service has failed so often without progress of its own in
# between, or been restarted so often: what kills it, the kernel out of memory for
# example, may be a passing trouble.
MAX_FAILURES_WITHOUT_PROGRESS = 5
MAX_RESTARTS_WITHOUT_PROGRESS = 20
NUM_ERROR_LINES = 15
# After DONE the workers evaluate the final policy; as long as they still do.
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
        self._names = names
        self._starts = {
            name: daemontools.count_starts(experiment, name) for name in names
        }
        self._restarts = dict.fromkeys(names, 0)
        self._restarts_at_progress = dict.fromkeys(names, 0)
        self._failures = {
            name: daemontools.count_failures(experiment, name) for name in names
        }
        self._failures_at_progress = dict(self._failures)
        self._counters = {name: self._read_counters(name) for name in names}
        self._problem = ""
        self._stall_shown_at = 0.0
        self._shown_at = 0.0
        self._is_terminal = sys.stdout.isatty()

    def poll(self) -> None:
        """Looks once: shows the live line and every restart.

        Raises:
          UserError: A service failed too often without getting on in between.
        """
        progress = read_progress(self._experiment, self._names)
        for name in self._names:
            self._check_progress(name)
            self._check_restarts(name)
        self._show_problem(progress)
        self._show_stall(progress)
        self._show(progress)

    def end_line(self) -> None:
        """Ends the live line, before something else is printed."""
        if self._is_terminal and self._shown_at:
            print(flush=True)
            self._shown_at = 0.0

    def _read_counters(self, name: str) -> list[float]:
        status = read_status(self._experiment, name)
        return [status.get(counter, 0) for counter in COUNTERS]

    def _check_progress(self, name: str) -> None:
        """Notices that a service has got further than it ever was.

        One that restarts from a checkpoint and fails at the same point again and again
        does not get on, nor does one worker because another does.
        """
        counters = self._read_counters(name)
        highest = [max(pair) for pair in zip(counters, self._counters[name])]
        if highest != self._counters[name]:
            self._counters[name] = highest
            self._restarts_at_progress[name] = self._restarts[name]
            self._failures_at_progress[name] = self._failures[name]

    def _show_problem(self, progress: Progress) -> None:
        if progress.problem != self._problem:
            self._problem = progress.problem
            self.end_line()
            print(f"error: {self._problem}" if self._problem else "Saved again.")

    def _show_stall(self, progress: Progress) -> None:
        now = time.monotonic()
        if not progress.is_stalled or now - self._stall_shown_at < STALL_SECS:
            return
        self._stall_shown_at = now
        self.end_line()
        minutes = progress.stalled_secs / 60
        print(f"error: no progress for {minutes:.0f} min; what the processes do:")
        for name in self._names:
            state = read_status(self._experiment, name).get("state", "not started")
            print(f"  {name}: {state}; log: {self._experiment.service_log(name)}")

    def _check_restarts(self, name: str) -> None:
        restarts = daemontools.num_restarts(self._starts, self._experiment, name)
        if restarts == self._restarts[name]:
            return
        self._restarts[name] = restarts
        self.end_line()
        log = self._experiment.service_log(name)
        print(f"{name} ended and was restarted ({restarts} so far); its log: {log}")
        self._failures[name] = daemontools.count_failures(self._experiment, name)
        failures = self._failures[name] - self._failures_at_progress[name]
        without_progress = restarts - self._restarts_at_progress[name]
        if (
            failures >= MAX_FAILURES_WITHOUT_PROGRESS
            or without_progress >= MAX_RESTARTS_WITHOUT_PROGRESS
        ):
            lines = daemontools.last_log_lines(self._experiment, name, NUM_ERROR_LINES)
            print("\n".join(f"  {line}" for line in lines))
            ended = f"failed {failures}" if failures else f"ended {without_progress}"
            raise UserError(
                f"{name} {ended} times without progress; giving up. The last lines of "
                f"{log} are above"
            )

    def _show(self, progress: Progress) -> None:
        now = time.monotonic()
        line = progress.line(sum(self._restarts.values()))
        if self._is_terminal:
            width = os.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", flush=True)
            self._shown_at = now
        elif now - self._shown_at >= QUIET_PERIOD_SECS:
            print(line, flush=True)
            self._shown_at = now


def watch_until_done(
    experiment: Experiment,
    names: Sequence[str],
    environment: Mapping[str, str],
    lock: int,
) -> None:
    """Starts the services and returns when training is complete.

    Raises:
      UserError: A service keeps failing.
      StopRequested: By a signal.
    """
    watch = Watch(experiment, names)
    svscan = daemontools.start(experiment, environment, lock)
    done_at: float | None = None
    try:
        while True:
            time.sleep(POLL_SECS)
            daemontools.reap()
            if svscan.poll() is not None:  # Killed; supervise runs on without it.
                svscan = daemontools.start(experiment, environment, lock)
            watch.poll()
            if not experiment.done.exists():
                continue
            done_at = done_at or time.monotonic()
            finished = have_workers_finished(experiment, names)
            if finished or time.monotonic() - done_at > FINAL_EVALUATION_SECS:
                return
    finally:
        watch.end_line()
        svscan.terminate()
        svscan.wait()


def have_workers_finished(experiment: Experiment, names: Sequence[str]) -> bool:
    """Returns whether each collect worker has evaluated the final policy."""
    return all(
        read_status(experiment, name).get("state") == "finished"
        for name in names
        if name.startswith(COLLECT_WORKER)
    )
