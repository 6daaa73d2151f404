"""The signals that stop a training."""

from __future__ import annotations

import contextlib
import signal
from types import FrameType

# SLURM sends SIGUSR1 before the time limit where a job asks for it, and SIGTERM at it.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


# The exit code after a signal is this and its number, as a shell has it.
SIGNALLED = 128


class StopRequested(Exception):
    """Raised by the first stop signal, in the main thread.

    Attributes:
      signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        """Keeps the signal."""
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """`SIGNALLED` and the signal."""
        return SIGNALLED + self.signum


def raise_on_stop() -> None:
    """Lets the first stop signal raise `StopRequested`; later ones do nothing.

    A second Ctrl-C, or the hang-up after it, must not end the stopping.
    """

    def on_signal(signum: int, frame: FrameType | None) -> None:
        _ignore_stop()
        raise StopRequested(signum)

    for signum in _STOP_SIGNALS:
        if signum == signal.SIGHUP and signal.getsignal(signum) is signal.SIG_IGN:
            continue  # nohup
        signal.signal(signum, on_signal)


def shield_from_stop() -> None:
    """Ignores stop signals from here on: what comes now is the stop."""
    # One that comes right now has had them ignored.
    with contextlib.suppress(StopRequested):
        _ignore_stop()


def _ignore_stop() -> None:
    for signum in _STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
