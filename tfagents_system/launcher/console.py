"""What the launcher tells people on its standard output."""

from __future__ import annotations

import os
import sys


def say(text: str, end: str = "\n") -> None:
    """Prints a text at once; a full disk or a closed pipe must not end a training.

    What could not be written is dropped: it is about a moment that is over.

    Args:
      text: The text.
      end: What comes after it.
    """
    try:
        print(text, end=end, flush=True)
    except OSError:
        _drop_unwritten()


def _drop_unwritten() -> None:
    """Gives standard output an empty buffer.

    Python would try to write the old one again with each text, and at its end, where
    a failure changes the exit code.
    """
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    sys.stdout = open(  # noqa: SIM115 # It stays open to the end.
        descriptor,
        "w",
        encoding=sys.stdout.encoding,
        errors=sys.stdout.errors,
        closefd=False,
    )
