"""A clock of its own for a training, which can be moved (libfaketime)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_LIBRARIES = "usr/lib/*/faketime/libfaketimeMT.so.1"
INSTALL = "libfaketime is missing: apt-get install faketime (or libfaketime)"


def find_library() -> Path:
    """Finds libfaketime; ends the script with one line where it is missing."""
    for path in Path("/").glob(_LIBRARIES):
        return path
    sys.exit(f"error: {INSTALL}")


class MovedClock:
    """The clock of the processes that are started with its environment."""

    def __init__(self, folder: Path) -> None:
        """Begins with the machine's time.

        Args:
          folder: For the file that says how far the clock is moved.
        """
        self._file = folder / "clock"
        self._library = find_library()
        self.move(0)

    def move(self, secs: int) -> None:
        """Sets how far the clock differs from the machine's."""
        partial = self._file.with_name("clock.new")
        partial.write_text(f"{secs:+d}\n")
        os.replace(partial, self._file)  # noqa: PTH105

    @property
    def environment(self) -> dict[str, str]:
        """The variables that whatever is started must have in its environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Read the file again for each question.
            "FAKETIME_NO_CACHE": "1",
            # A clock that is set moves neither the monotonic clock nor the times of
            # files that exist.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
