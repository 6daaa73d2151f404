"""Errors that a person can act on, and how commands show them."""

from __future__ import annotations

import sys
from typing import Callable


class UserError(Exception):
    """Bad input from a user. The message is one line: what, where, what to do."""


class NotSaved(Exception):
    """Nothing was written; the message says why. What was there before is intact."""

    @classmethod
    def because(cls, error: Exception) -> NotSaved:
        """Makes it from an error of the disk or of the replay server."""
        message = str(error).partition("\n")[0]
        return cls(f"no checkpoint: {type(error).__name__}: {message}")


def run_command(main: Callable[[], int]) -> int:
    """Runs a command's main and turns expected failures into one line.

    Args:
      main: The command; returns its exit code.

    Returns:
      The exit code: main's own, 2 for a `UserError`, 130 for Ctrl-C.
    """
    try:
        return main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
