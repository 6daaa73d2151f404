"""Disturbs a training at random and checks that nothing is lost.

    .venv/bin/python scripts/reliability/chaos.py                # many processes
    .venv/bin/python scripts/reliability/chaos.py --one_process  # sac-train

Trains Pendulum-v1 with the real commands, on a small disk and with a clock of its own,
and kills its processes, stops and continues them, fills and frees the disk, deletes
single files and moves the clock. Prints one JSON line with what was done and what was
observed, and exits with 1 if there was any violation. With --faults 0 it trains
undisturbed, for comparison. It needs Linux, daemontools, libfaketime, and the right to
mount (root, or user namespaces).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import errno
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import moved_clock
import small_disk
from disturbances import Disturbances, make_plan
from fault import remove
from limited_waiting import Violation, pause
from moved_clock import MovedClock
from small_disk import SmallDisk
from traces import Traces
from trainings import ManyProcesses, OneProcess, Training
from watcher import Watcher

from tfagents_system.errors import UserError
from tfagents_system.experiment import status_file
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.experiment.run_file import Run
from tfagents_system.host import ports
from tfagents_system.host.quiet import quiet_imports

NUM_WORKERS = 2
ITERATION_TRAIN_STEPS = 200
DISK_MB = 100
# After a burst the training must make progress before the next: a start takes several
# seconds, and a process killed while starting has nothing to lose.
FAULTS_PER_BURST = 4
MAX_RECOVERY_SECS = 240.0
NO_ROOM = os.strerror(errno.ENOSPC)
# More of them would only repeat what went wrong.
MAX_VIOLATIONS = 20
_END_SECS = 1800.0


def make_config(train_steps: int) -> dict[str, Any]:
    """Returns the JSON: one gradient step per env step, a checkpoint every 200."""
    return {
        "env": "Pendulum-v1",
        "horizon": 200,
        "train_params": {
            "num_steps_per_iter": ITERATION_TRAIN_STEPS,
            "num_iter": train_steps // ITERATION_TRAIN_STEPS,
            "n_train_episodes_per_iter": 1,
            "n_buffer_init_episodes": 5,
            # Full half-way, so that old rows are pushed out.
            "n_episodes_in_buffer": 200,
            "checkpoint_period_itrs": 1,
            "eval_period_itrs": 10,
            "n_eval_episodes": 10,
            "actor_learning_rate": 1e-3,
            "critic_learning_rate": 1e-3,
            "alpha_learning_rate": 1e-3,
            "sac_log_alpha": 0.0,
            "target_entropy": -1.0,
            "train_batch_size": 128,
            "actor_fc_layer_params": [64, 64],
            "critic_joint_fc_layer_params": [64, 64],
        },
    }


def make_training(folder: Path, disk: SmallDisk, args: argparse.Namespace) -> Training:
    """Makes the training; starts nothing."""
    kind = OneProcess if args.one_process else ManyProcesses
    root = disk.folder / "experiment"
    training = kind(folder, make_config(args.train_steps), Traces(), root)
    training.params = REPOSITORY / "scripts" / "benchmark" / "benchmark_params.py"
    training.num_workers = NUM_WORKERS
    return training


def shared_memory() -> set[Path]:
    """Returns what lies in the machine's shared memory."""
    return set(Path("/dev/shm").iterdir())


def keep_running(training: Training, watcher: Watcher) -> bool:
    """Starts again what has ended with an error; returns whether it is incomplete."""
    if training.is_running:
        return True
    ended = training.wait_end()
    if ended.code == 0:
        return False
    if NO_ROOM not in ended.last_line:  # A launch on a full disk is refused.
        watcher.note(f"it ended with {ended.code}: {ended.last_line}")
    training.start()
    return True


def wait_for_progress(training: Training, watcher: Watcher) -> float:
    """Watches until the training has gone on by an iteration; returns the seconds."""
    started = time.monotonic()
    before = training.progress()
    while training.progress() < before + ITERATION_TRAIN_STEPS:
        watcher.poll()
        if not keep_running(training, watcher):
            break
        if time.monotonic() - started > MAX_RECOVERY_SECS:
            watcher.note(f"no progress from train step {before}")
            break
    return round(time.monotonic() - started, 1)


def disturb(
    training: Training, watcher: Watcher, disturbances: Disturbances, args: Any
) -> dict[str, Any]:
    """Disturbs as often as asked, then lets the training finish."""
    counts: collections.Counter[str] = collections.Counter()
    recovery_secs = []
    for number, kind in enumerate(make_plan(args.faults, args.seed)):
        if number % FAULTS_PER_BURST == 0:
            recovery_secs.append(wait_for_progress(training, watcher))
        if len(watcher.violations) > MAX_VIOLATIONS:
            break
        if not keep_running(training, watcher):
            watcher.note("complete before the last fault; raise --train_steps")
            break
        done = disturbances.cause(kind)
        counts[kind] += 1
        train_step = training.progress()
        print(
            f"{time.strftime('%T')} {number + 1}: {done} at train step {train_step}",
            file=sys.stderr,
            flush=True,
        )
        next_fault = time.monotonic() + disturbances.delay_secs(args.period_secs)
        while time.monotonic() < next_fault:
            watcher.poll()
    disturbed_until = training.progress()
    deadline = time.monotonic() + _END_SECS
    while training.is_running and time.monotonic() < deadline:
        watcher.poll()
    watcher.compare_rows()
    return {
        "faults": dict(counts),
        "train_step_at_the_last_fault": disturbed_until,
        "max_lost_train_steps": watcher.max_lost_train_steps,
        "checkpoints_compared_by_rows": watcher.num_compared,
        "median_recovery_secs": statistics.median(recovery_secs or [0.0]),
        "max_recovery_secs": max(recovery_secs, default=0.0),
    }


def check_end(training: Training, watcher: Watcher, shared: set[Path]) -> None:
    """Notes whatever is left behind after the end."""
    experiment = Experiment(training.root)
    if training.is_running:
        watcher.note(f"not complete {_END_SECS:.0f} s after the last fault")
        training.stop()
    ended = training.wait_end()
    if ended.code != 0:
        watcher.note(f"exit code {ended.code}: {ended.last_line}")
    pause(1)
    for line in training.traces.describe():
        watcher.note(f"left: {line}")
    if isinstance(training, ManyProcesses):
        if not experiment.done.exists():
            watcher.note("no DONE")
        try:
            ports.choose_port(Run.load(experiment).reverb_port)
        except UserError as error:
            watcher.note(f"the port is still taken: {error}")
    leaked = [
        p for p in shared_memory() - shared if moved_clock.LEFTOVERS not in p.name
    ]
    if leaked:
        watcher.note(f"shared memory is left: {sorted(leaked)}")
    if experiment.temporary_files.exists():
        watcher.note("temporary files are left")
    for violation in training.traces.violations:
        watcher.note(violation)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Trains and disturbs in a temporary folder; returns what was observed."""
    shared = shared_memory()
    started = time.monotonic()
    with contextlib.ExitStack() as cleaning:  # In the opposite order.
        folder = Path(tempfile.mkdtemp(prefix="sac_chaos_"))
        cleaning.callback(remove, folder)
        disk = SmallDisk(folder / "disk", DISK_MB)
        cleaning.callback(disk.close)
        clock = MovedClock(folder)
        training = make_training(folder / "training", disk, args)
        training.environment = clock.environment
        cleaning.callback(clock.clean)
        cleaning.callback(training.traces.kill)
        cleaning.callback(training.traces.close)
        training.start()
        training.wait_until_training()
        training.traces.watch()
        watcher = Watcher(training)
        disturbances = Disturbances(training, disk, clock, args.seed)
        result = disturb(training, watcher, disturbances, args)
        check_end(training, watcher, shared)
        workers = status_file.read_workers(Experiment(training.root))
        result.update(
            train_step=training.progress(),
            final_returns=[worker.eval_return for worker in workers],
            last_line=training.wait_end().last_line,
            secs=round(time.monotonic() - started),
            violations=watcher.violations,
        )
    return result


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one_process", action="store_true", help="sac-train")
    parser.add_argument("--faults", type=int, default=300, help="about half are kills")
    parser.add_argument(
        "--period_secs", type=float, default=3.0, help="mean time between two faults"
    )
    parser.add_argument("--train_steps", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    moved_clock.find_library()
    small_disk.enter_mount_namespace()
    # Clean up; and what is ignored under nohup or in the background of a script, the
    # trainings must not ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda number, _: sys.exit(128 + number))
    try:
        result = run(args)
    except Violation as violation:  # It has not even begun, or cannot go on.
        result = {"violations": [str(violation)]}
    print(json.dumps(result), flush=True)
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    quiet_imports()
    sys.exit(main())
