"""Waits that say for what and since when; never a silent hang."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

from absl import logging

from tfagents_system.experiment.status_file import Awaited, Phase
from tfagents_system.experiment.status_writer import StatusWriter

POLL_SECS = 0.5
LOG_PERIOD_SECS = 30.0


class WaitLog:
    """Says for what this process waits, in its status and in its log."""

    def __init__(self, status: StatusWriter[Any]) -> None:
        """Reports to the given status."""
        self._status = status
        self._logged_secs = 0.0
        self._phase_before: Phase | None = None

    def waiting(self, awaited: Awaited, waited_secs: float) -> None:
        """Call about every second while waiting.

        Args:
          awaited: What it waits for.
          waited_secs: How long so far.
        """
        if self._phase_before is None:
            self._phase_before = self._status.value.phase
        self._status.enter(Phase.WAITING, awaited)
        with self._status.edit():
            pass  # Writes it now and then: the process lives.
        if waited_secs - self._logged_secs >= LOG_PERIOD_SECS:
            self._logged_secs = waited_secs
            logging.info("still waiting for %s, %.0f s now", awaited.value, waited_secs)

    def done(self) -> None:
        """Call when the wait is over, or there was none: back to the phase before."""
        if self._phase_before is not None:
            self._status.enter(self._phase_before)
            self._phase_before = None
            self._logged_secs = 0.0


def wait_until(
    condition: Callable[[], bool],
    awaited: Awaited,
    status: StatusWriter[Any],
    stop: threading.Event,
) -> bool:
    """Waits for a condition.

    Args:
      condition: Asked about twice a second.
      awaited: What it waits for.
      status: This process's status.
      stop: Ends the wait.

    Returns:
      Whether the condition came true; False if `stop` was set first.
    """
    waits = WaitLog(status)
    started = time.monotonic()
    while not condition():
        waits.waiting(awaited, time.monotonic() - started)
        if stop.wait(POLL_SECS):
            return False
    waits.done()
    return True
