"""A clock of its own for a training, which can be moved (libfaketime)."""

from __future__ import annotations

import sys
from pathlib import Path

_LIBRARIES = "usr/lib/*/faketime/libfaketimeMT.so.1"
INSTALL = "libfaketime is missing: apt-get install faketime (or libfaketime)"
#: What the names of its shared memory have in common; the pid comes after it.
LEFTOVERS = "faketime_"
# Under libfaketime 0.9.10 time.sleep fails with EINVAL (clock_nanosleep until a time of
# the monotonic clock). Every Python process imports this module when it starts.
_SITECUSTOMIZE = """import select
import time

time.sleep = lambda secs: select.select([], [], [], secs) and None
"""


def find_library() -> Path:
    """Finds libfaketime; ends the script with one line where it is missing."""
    for path in Path("/").glob(_LIBRARIES):
        return path
    sys.exit(f"error: {INSTALL}")


class MovedClock:
    """The clock of the processes that are started with its environment.

    The kernel does not know of it: where C++ waits until a time of day, as the timers
    of gRPC do, the wait ends at once with a clock that is slow, and hours late with one
    that is fast. So it may only be slow, and moves forward by becoming less so.
    """

    def __init__(self, folder: Path) -> None:
        """Begins with the machine's time.

        Args:
          folder: For the file that says how far the clock is moved.
        """
        self._file = folder / "clock"
        self._modules = folder / "modules_of_the_clock"
        self._modules.mkdir()
        (self._modules / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        self._library = find_library()
        self.move(0)

    def move(self, secs: int) -> None:
        """Sets how far the clock differs from the machine's; 0 or negative."""
        partial = self._file.with_name("clock.new")
        partial.write_text(f"{secs:+d}\n")
        partial.replace(self._file)

    @staticmethod
    def clean() -> None:
        """Removes what libfaketime leaves of processes that were killed."""
        for path in Path("/dev/shm").glob(f"*{LEFTOVERS}*"):
            if not Path("/proc", path.name.rpartition("_")[2]).exists():
                path.unlink(missing_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that whatever is started must have in its environment."""
        return {
            "PYTHONPATH": str(self._modules),
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Read the file again after a second; for each question would cost 40 us.
            "FAKETIME_CACHE_DURATION": "1",
            # A clock that is set moves neither the monotonic clock nor the times of
            # files that exist.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            # What is switched on for glibc makes timed waits end at once: then Python's
            # threads take the GIL from each other all the time.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }
