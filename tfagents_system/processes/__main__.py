"""Starts any process of a run: `python -m tfagents_system.processes NAME ...`.

It reads the flags, prepares the process, and only then imports the module of that name:
all modules behind it import at their top. NAME is replay_server, learner,
collect_worker or prepare; `NAME --help` lists the flags.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from absl import app, flags

from tfagents_system.host.fast_imports import fast_imports
from tfagents_system.processes import command_line, startup

PROGRAM = "python -m tfagents_system.processes"


def main() -> None:
    """Runs a process from the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(f"usage: {PROGRAM} {{{','.join(startup.PROCESSES)}}} ...\n\n{__doc__}")
        return
    if name not in startup.PROCESSES:
        known = ", ".join(startup.PROCESSES)
        sys.exit(f"error: there is no process {name or '(none given)'}; give {known}")
    folder = Path.cwd()
    command_line.define_flags(name)
    if {"-h", "--help"} & set(sys.argv[2:]):
        own_flags = flags.FLAGS.module_help(command_line.__name__)
        print(f"usage: {PROGRAM} {name} ...\n{own_flags}")
        return

    def run(argv: list[str]) -> int:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
        with fast_imports():
            startup.prepare_process(name)
            module = importlib.import_module(f"tfagents_system.processes.{name}")
        return startup.run_process(name, module.main, folder)

    app.run(run, argv=[f"{PROGRAM} {name}", *sys.argv[2:]])


if __name__ == "__main__":
    main()
