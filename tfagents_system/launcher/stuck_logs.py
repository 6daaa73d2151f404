"""Ends a multilog that does not read any more; its service would wait for it for ever.

multilog pauses for 5 s by the time of day when its disk is full: the clock set back by
an hour meanwhile makes that an hour. supervise starts the next one, and what is in the
pipe between service and log stays there, for svscan holds it open.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from tfagents_system.experiment.directory import Experiment
from tfagents_system.host import process_tree
from tfagents_system.launcher import daemontools

# Longer than multilog's pause: one that waits for room on the disk tries meanwhile.
LOOK_SECS = 15.0


class StuckLogs:
    """Finds the logs of a run that are stuck."""

    def __init__(self, experiment: Experiment, names: Sequence[str]) -> None:
        """Looks from now on.

        Args:
          experiment: The experiment.
          names: Its services.
        """
        self._experiment, self._names = experiment, names
        self._looked_at = time.monotonic()
        self._unread: dict[int, bytes] = {}

    def end(self) -> list[str]:
        """Kills each log that has done nothing, though it could read, since last time.

        Returns:
          The services whose log that was; empty within `LOOK_SECS` of the last look.
        """
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECS:
            return []
        self._looked_at = now
        before, self._unread = self._unread, {}
        ended = []
        for name in self._names:
            pid = daemontools.pid_of(self._experiment, f"{name}/log")
            if pid is None or (activity := activity_before_input(pid)) is None:
                continue
            self._unread[pid] = activity
            if activity == before.get(pid):
                process_tree.send([pid], signal.SIGKILL)
                ended.append(name)
        return ended


def activity_before_input(pid: int) -> bytes | None:
    """Returns what a process has read and written so far, if its input has more.

    Args:
      pid: The process; a pipe is its standard input.

    Returns:
      The kernel's counts, failed attempts to write among them; None if there is nothing
      to read, or the process is gone.
    """
    process = Path(f"/proc/{pid}")
    try:
        pipe = os.open(process / "fd" / "0", os.O_RDONLY | os.O_NONBLOCK)
        try:
            answer = fcntl.ioctl(pipe, termios.FIONREAD, struct.pack("i", 0))
        finally:
            os.close(pipe)
        return (process / "io").read_bytes() if struct.unpack("i", answer)[0] else None
    except OSError:
        return None
