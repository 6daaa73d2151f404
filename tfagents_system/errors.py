"""Errors that a person can act on, and how commands show them."""

from __future__ import annotations

import errno
import os
import sys
from typing import Callable

#: What the operating system says of a disk that is full, failing or not writable.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})

#: Exit code after Ctrl-C, as shells have it.
INTERRUPTED = 130


class UserError(Exception):
    """Bad input from a user. The message is one line: what, where, what to do."""


class NotSaved(Exception):
    """Nothing was written; the message says why. What was there before is intact."""

    @classmethod
    def because(cls, error: Exception, free_space: str = "") -> NotSaved:
        """Makes it from an error of the disk or of the replay server.

        Args:
          error: The error.
          free_space: How much room the disk has, for an error of the disk.
        """
        message = str(error).partition("\n")[0]
        if free_space and is_disk_error(error):
            message += f"; {free_space}"
        return cls(f"no checkpoint: {type(error).__name__}: {message}")


def is_disk_error(error: BaseException) -> bool:
    """Returns whether an error is the disk's, whoever raised it.

    Reverb raises IndexError for a full disk and TensorFlow errors of its own, both with
    the words of the operating system.
    """
    if isinstance(error, OSError):
        return error.errno in DISK_ERRORS
    message = str(error)
    return any(os.strerror(code) in message for code in DISK_ERRORS)


def run_command(main: Callable[[], int]) -> int:
    """Runs a command's main and turns expected failures into one line.

    Args:
      main: The command; returns its exit code.

    Returns:
      The exit code: main's own, 2 for a `UserError` or a disk that is full or fails,
      `INTERRUPTED` for Ctrl-C.
    """
    try:
        return main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if not is_disk_error(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
