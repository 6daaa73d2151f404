"""When to give up on a service that keeps crashing."""

from __future__ import annotations

from typing import Callable

from tfagents_system.errors import UserError
from tfagents_system.experiment import services, status_file
from tfagents_system.experiment.directory import Experiment

# A run ends when one service has failed so often, or been restarted so often, without
# progress of its own in between. What kills it from outside, such as the kernel when
# memory is short, may pass: that limit is higher.
MAX_FAILURES_WITHOUT_PROGRESS = 5
MAX_RESTARTS_WITHOUT_PROGRESS = 20


class _Growing:
    """A count that goes on though somebody deletes its file, which begins again."""

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self._last = read()
        self._lost = 0

    def __call__(self) -> int:
        count = self._read()
        if count < self._last:
            self._lost += self._last
        self._last = count
        return self._lost + count


class CrashLimit:
    """Counts the restarts and failures of one service since its last progress.

    Attributes:
      num_restarts: Restarts in this run.
    """

    def __init__(self, experiment: Experiment, name: str) -> None:
        """Counts from now on.

        Args:
          experiment: The experiment.
          name: The service.
        """
        self._experiment, self._name = experiment, name
        self._count_starts = _Growing(lambda: services.count_starts(experiment, name))
        self._count_failures = _Growing(
            lambda: services.count_failures(experiment, name)
        )
        self._starts_before = self._count_starts()
        self._failures = self._count_failures()
        self._counters = self._read_counters()
        self._restarts_at_progress = 0
        self._failures_at_progress = self._failures
        self.num_restarts = 0

    def notice_progress(self) -> None:
        """Notices that the service has got further than it ever was.

        One that restarts from a checkpoint and fails at the same point again and again
        does not get further, and neither does one worker because another does.
        """
        highest = tuple(map(max, zip(self._read_counters(), self._counters)))
        if highest != self._counters:
            self._counters = highest
            self._restarts_at_progress = self.num_restarts
            self._failures_at_progress = self._failures

    def notice_restarts(self) -> bool:
        """Counts restarts and failures; returns whether there were more restarts."""
        restarts = max(0, self._count_starts() - self._starts_before - 1)
        has_more = restarts != self.num_restarts
        self.num_restarts = restarts
        if has_more:
            self._failures = self._count_failures()
        return has_more

    def check(self) -> None:
        """Checks the limits.

        Raises:
          UserError: The service failed, or was restarted, too often.
        """
        failures = self._failures - self._failures_at_progress
        restarts = self.num_restarts - self._restarts_at_progress
        if (
            failures >= MAX_FAILURES_WITHOUT_PROGRESS
            or restarts >= MAX_RESTARTS_WITHOUT_PROGRESS
        ):
            ended = f"failed {failures}" if failures else f"ended {restarts}"
            raise UserError(
                f"{self._name} {ended} times without progress; giving up. The last "
                f"lines of {self._experiment.service_log(self._name)} are above"
            )

    def _read_counters(self) -> tuple[int, ...]:
        return status_file.read_service(self._experiment, self._name).counters
