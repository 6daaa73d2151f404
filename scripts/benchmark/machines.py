"""How much the workers of a second machine add, with an environment that sleeps 20 ms.

    .venv/bin/python scripts/benchmark/machines.py --workers 4

Both "machines" are this one: what is measured is the way over `--workers-only`, not the
network. Prints one JSON line: env steps a second without and with the second machine,
and the efficiency, 1.0 where it doubles them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from system import System

from tfagents_system.experiment import status_file
from tfagents_system.experiment.directory import REPOSITORY

STEP_SECS = 0.02
HORIZON = 500
TIMEOUT_SECS = 300.0


def make_config() -> dict[str, object]:
    """Returns the JSON: the learner does next to nothing and holds up nobody."""
    return {
        "env": "sleeping",
        "horizon": HORIZON,
        "step_secs": STEP_SECS,
        "train_params": {
            "num_steps_per_iter": 10,
            "num_iter": 100_000,
            "n_train_episodes_per_iter": 2,
            "n_buffer_init_episodes": 2,
            "n_episodes_in_buffer": 600,
            "eval_period_itrs": 0,
        },
    }


def measure(system: System, secs: float) -> float:
    """Returns the env steps a second of all workers together, over some time."""

    def count() -> int:
        return sum(
            worker.worker_env_steps
            for worker in status_file.read_workers(system.experiment)
        )

    before, started = count(), time.monotonic()
    time.sleep(secs)
    return (count() - before) / (time.monotonic() - started)


def wait_for_workers(system: System, num_workers: int) -> None:
    """Waits until so many workers act with a policy that was learned."""
    deadline = time.monotonic() + TIMEOUT_SECS
    while True:
        workers = status_file.read_workers(system.experiment)
        if sum(worker.policy_train_step > 0 for worker in workers) == num_workers:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"no {num_workers} workers: {system.output.read_text()}")
        time.sleep(0.5)


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="of each machine")
    parser.add_argument("--secs", type=float, default=60.0, help="of each measurement")
    args = parser.parse_args()
    variables = {
        "SAC_NUM_COLLECT_WORKERS": args.workers,
        "SAC_REVERB_HOST": "localhost",
    }
    with tempfile.TemporaryDirectory(prefix="sac_benchmark_") as folder:
        system = System(Path(folder), make_config(), variables)
        try:
            wait_for_workers(system, args.workers)
            one = measure(system, args.secs)
            second = subprocess.Popen(
                [REPOSITORY / "launch_training.sh", system.variables, "--workers-only"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                wait_for_workers(system, 2 * args.workers)
                both = measure(system, args.secs)
            finally:
                second.send_signal(signal.SIGINT)
                second.wait()
        finally:
            system.stop()
    result = {
        "workers_of_each_machine": args.workers,
        "env_steps_per_sec_of_one": one,
        "env_steps_per_sec_of_both": both,
        "efficiency": both / one / 2,
        "of_the_sleep_limit": both * STEP_SECS / args.workers / 2,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main()
