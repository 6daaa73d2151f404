"""Processes on Linux: who dies with whom, who descends from whom, who reaps whom."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable
from pathlib import Path

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


def living() -> list[int]:
    """Returns the pids of all processes but this one; zombies are among them."""
    own = os.getpid()
    pids = (int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal())
    return [pid for pid in pids if pid != own]


def environ(pid: int) -> dict[str, str]:
    """Returns the environment that a process was started with.

    Empty for a zombie, for a process that has cleared it, and for one that is gone or
    belongs to somebody else.
    """
    try:
        contents = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition("=") for entry in os.fsdecode(contents).split("\0"))
    return {name: value for name, _, value in pairs if name}


def with_variable(name: str, value: str) -> set[int]:
    """Returns the pids of all processes that were started with a variable so set."""
    return {pid for pid in living() if environ(pid).get(name) == value}


def started_at(pid: int) -> int | None:
    """Returns when a process was started, in clock ticks since the machine was.

    None if it has ended. Pid and this together name one process for ever.
    """
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def is_at_disk(pid: int) -> bool:
    """Returns whether any thread of a process waits for a disk at this moment."""
    try:
        return any(
            (task / "stat").read_text().rpartition(")")[2].split()[0] == "D"
            for task in Path(f"/proc/{pid}/task").iterdir()
        )
    except OSError:
        return False


def descendants(pid: int) -> set[int]:
    """Returns the living children of a process, their children, and so on."""
    parents = {other: _stat(other) for other in living()}
    children: dict[int, list[int]] = {}
    for other, fields in parents.items():
        if fields:
            children.setdefault(int(fields[1]), []).append(other)
    found: set[int] = set()
    to_visit = [pid]
    while to_visit:
        new = set(children.get(to_visit.pop(), ())) - found
        found |= new
        to_visit += new
    return {other for other in found if parents[other][0] not in "ZX"}


def send(pids: Iterable[int], signum: signal.Signals) -> None:
    """Sends a signal to processes; those that are gone or not ours are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def _stat(pid: int) -> list[str]:
    """Returns the fields of /proc/PID/stat from the state on; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
