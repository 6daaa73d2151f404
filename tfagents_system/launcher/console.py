"""What the launcher tells people on its standard output."""

from __future__ import annotations

import contextlib


def say(text: str, end: str = "\n") -> None:
    """Prints a text at once; a full disk or a closed pipe must not end a training.

    What could not be written is dropped: it is about a moment that is over. For that
    the launcher runs under `python -u`; a buffer would be written again at its end,
    where a failure changes the exit code.

    Args:
      text: The text.
      end: What comes after it.
    """
    with contextlib.suppress(OSError):
        print(text, end=end, flush=True)
