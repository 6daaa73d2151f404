"""Makes each of a table of faults happen to live trainings and says what it led to.

    .venv/bin/python scripts/reliability/faults.py              # all
    .venv/bin/python scripts/reliability/faults.py deleted_many # these
    .venv/bin/python scripts/reliability/faults.py --list

Prints a row for each fault: event, what happened, verdict. Violations of any fault are
a process that is left, a service that runs twice, and anything lost that a checkpoint
held; the rest is each fault's own. The last line is JSON; the exit code is 1 if there
was any violation. It needs Linux, daemontools, libfaketime, and the right
to mount (root, or user namespaces).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import signal
import sys
import textwrap

import directory_faults
import environment_faults
import fault
import limited_waiting
import machine_faults
import moved_clock
import small_disk
import stop_faults
from fault import Fault, Outcome

from tfagents_system.host.quiet import quiet_imports

# The long ones first: then the last ones do not wait for them.
FAULTS: list[Fault] = [
    *machine_faults.FAULTS,
    *environment_faults.FAULTS,
    *directory_faults.FAULTS,
    *stop_faults.FAULTS,
]
_WIDTH = 100


def format_row(outcome: Outcome) -> str:
    """Formats what a fault led to as a few lines for people."""
    verdict = "FAILED" if outcome.violations else "ok"
    lines = [f"{verdict:7}{outcome.name}: {outcome.event} ({outcome.secs} s)"]
    details = [outcome.happened] if outcome.happened else []
    for detail in details + [f"! {violation}" for violation in outcome.violations]:
        lines += textwrap.wrap(
            detail, _WIDTH, initial_indent=" " * 7, subsequent_indent=" " * 9
        )
    return "\n".join(lines)


def choose(names: list[str]) -> list[Fault]:
    """Returns the faults of these names, all without any; ends with one line if not."""
    by_name = {one.name: one for one in FAULTS}
    for name in names:
        if name not in by_name:
            sys.exit(f"error: no fault {name}; see --list")
    return [by_name[name] for name in names] if names else FAULTS


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--list", action="store_true", help="print the table")
    parser.add_argument(
        "--jobs", type=int, default=3, help="faults at a time; most of them wait"
    )
    args = parser.parse_args()
    chosen = choose(args.names)
    if args.list:
        for one in chosen:
            print(f"{one.name:28}{one.event}")
        return 0
    moved_clock.find_library()
    small_disk.enter_mount_namespace()
    # Clean up; and what is ignored under nohup or in the background of a script, the
    # trainings must not ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda number, _: sys.exit(128 + number))
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        futures = [pool.submit(fault.run, one) for one in chosen]
        try:
            for future in concurrent.futures.as_completed(futures):
                outcomes.append(future.result())
                print(format_row(outcomes[-1]), flush=True)
        except BaseException:
            # Each fault that is under way cleans up.
            limited_waiting.interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise
    print(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes]))
    failed = [outcome.name for outcome in outcomes if outcome.violations]
    print(f"{len(outcomes)} faults, {len(failed)} with violations", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    quiet_imports()
    sys.exit(main())
