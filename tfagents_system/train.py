"""Trains SAC in one process: off-policy's command, also installed as `sac-train`.

    python -m tfagents_system.train --logdir runs/pendulum --env Pendulum-v1

Needs neither Reverb nor daemontools. One iteration is one env step and, after
--warm_up_steps, one gradient step.
"""

from __future__ import annotations

import contextlib
import logging
import sys

from tfagents_system.errors import run_command
from tfagents_system.host.fast_imports import fast_imports
from tfagents_system.host.headless import render_without_screen
from tfagents_system.host.quiet import quiet_imports
from tfagents_system.one_process import flags


def main() -> int:
    """Runs from the command line."""
    return run_command(_train)


def _train() -> int:
    logdir, given = flags.parse()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    quiet_imports()
    render_without_screen()
    with fast_imports():
        from tfagents_system.one_process import training

    if training.train(logdir, given):
        return 0
    with contextlib.suppress(OSError):  # A full disk, or nobody who reads.
        print("Stopped. The same command resumes.", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(main())
