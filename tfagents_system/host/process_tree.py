"""Parents and children on Linux: who dies with whom, and who reaps whom."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent dies.

    Otherwise a service would outlive its `supervise`, and the next `supervise` would
    start a second one beside it.
    """
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It died before the kernel knew.
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants whose own parent has ended.

    The launcher can then reap what svscan leaves. In a container nobody else might do
    it, and the processes would stay as zombies.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def reap() -> None:
    """Reaps the adopted processes that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
