"""Calls to the replay server that end: with its answer, or after a time without.

Most of Reverb's calls have no deadline and cannot be cancelled: a replay server that is
stopped, or whose disk hangs, would hold the caller for ever. They do release the GIL.
So each runs in a thread, which the caller leaves behind when it gives up.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from concurrent.futures import Future
from typing import Any, Callable, TypeVar

# Seconds without an answer after which a call is given up.
ANSWER_SECS = 5.0
POLL_SECS = 0.5

Result = TypeVar("Result")


class NoAnswer(Exception):
    """The replay server did not answer in time; the message says to what."""


class Line:
    """A line to the replay server, for one thread and one call at a time.

    A call that was given up is still under way. Until it has ended there is no other,
    so that neither threads nor calls pile up, and none overtakes another.
    """

    def __init__(self, silence_secs: float = ANSWER_SECS) -> None:
        """Calls nothing yet.

        Args:
          silence_secs: Seconds to wait for an answer.
        """
        self._silence_secs = silence_secs
        self._last: Future[Any] | None = None

    def call(
        self,
        function: Callable[[], Result],
        what: str,
        progress: Callable[[], object] = lambda: None,
    ) -> Result:
        """Calls a function in a thread of its own and waits for what it returns.

        Args:
          function: The call; it must release the GIL while it waits.
          what: What it does, for people, e.g. `publishing the policy`.
          progress: Says how far the call is, e.g. how many bytes are written; the
            waiting begins anew whenever that changes.

        Returns:
          What the function returned.

        Raises:
          NoAnswer: It has not ended in time, or one before has not.
          Exception: What the function raised.
        """
        if self._last is not None:
            self._wait(self._last, f"the call before {what}", progress)
        self._last = future = _begin(function)
        self._wait(future, what, progress)
        self._last = None
        return future.result()

    def _wait(
        self, future: Future[Any], what: str, progress: Callable[[], object]
    ) -> None:
        """Waits until a call has ended.

        Raises:
          NoAnswer: There was neither an end nor progress for some time.
        """
        silence_secs = self._silence_secs
        last, heard_at = progress(), time.monotonic()
        while not concurrent.futures.wait([future], min(POLL_SECS, silence_secs)).done:
            now = time.monotonic()
            if (current := progress()) != last:
                last, heard_at = current, now
            if now - heard_at >= silence_secs:
                raise NoAnswer(f"no answer for {silence_secs:g} s while {what}")


def _begin(function: Callable[[], Result]) -> Future[Result]:
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, name="call", daemon=True).start()
    return future
