"""Waiting that has an end: its own, that of the fault, or that of the script."""

from __future__ import annotations

import contextvars
import math
import threading
import time
from typing import Callable, TypeVar

_POLL_SECS = 0.2
T = TypeVar("T")

#: When all waiting of this thread must have ended, monotonic seconds.
end_of_waiting: contextvars.ContextVar[float] = contextvars.ContextVar(
    "end_of_waiting", default=math.inf
)
#: Set when the script is to end.
interrupted = threading.Event()


class Violation(Exception):
    """Something happened that must not, or did not happen in time."""


def pause(secs: float) -> None:
    """Sleeps.

    Raises:
      Violation: The script is to end.
    """
    if interrupted.wait(secs):
        raise Violation("interrupted")


def wait_for(condition: Callable[[], T], what: str, secs: float) -> T:
    """Waits for a condition; returns its value.

    Args:
      condition: What is to become true.
      what: How the violation calls it.
      secs: How long it may take.

    Raises:
      Violation: It took longer, or the script is to end.
    """
    deadline = min(time.monotonic() + secs, end_of_waiting.get())
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Violation(f"no {what} (waited up to {secs:.0f} s)")
        pause(_POLL_SECS)
    return value
