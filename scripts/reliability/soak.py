"""Trains for a long time and shows what grows: memory, descriptors, threads, disk.

    .venv/bin/python scripts/reliability/soak.py --minutes 60

Prints one JSON line: for each process two means, one over the second quarter of the
time, when everything is warm and the replay full, and one over the last quarter.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

# Benchmarks and reliability checks start their trainings with the same class.
sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmark"))
from chaos import NUM_WORKERS, make_config
from system import System

from tfagents_system.experiment import run_lock

SAMPLE_SECS = 10.0


def sample(system: System) -> dict[str, dict[str, float]]:
    """Returns the use of memory and disk.

    Returns:
      Amounts by field, for each service, for all other processes together, and for two
      kinds of files.
    """
    services = {process.pid: name for name, process in system.processes().items()}
    pids = {system.launcher.pid, *run_lock.holders(system.experiment.lock)}
    used: dict[str, dict[str, float]] = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            own = {
                "rss_mb": process.memory_info().rss / 1e6,
                "descriptors": process.num_fds(),
                "threads": process.num_threads(),
                "processes": 1,
            }
            total = used.setdefault(services.get(pid, "launcher and supervision"), {})
            for field, value in own.items():
                total[field] = total.get(field, 0) + value
    # Not rglob, which fails when a folder is removed meanwhile.
    for folder, _, names in os.walk(system.experiment.root):
        for name in names:
            with contextlib.suppress(OSError):
                size = (Path(folder) / name).stat().st_size
                is_event_file = name.startswith("events.")
                kind = "TensorBoard" if is_event_file else "other files"
                total = used.setdefault(kind, {"mb": 0.0, "files": 0})
                total["mb"] += size / 1e6
                total["files"] += 1
    return used


def compare(samples: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Compares the last quarter of the samples with the second."""
    quarter = len(samples) // 4
    parts = (samples[quarter : 2 * quarter], samples[-quarter:])
    return {
        f"{name} {field}": [
            round(statistics.mean(s[name][field] for s in part if name in s), 1)
            for part in parts
        ]
        for name, fields in samples[-1].items()
        for field in fields
    }


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Stop the training too.
    with tempfile.TemporaryDirectory(prefix="sac_soak_") as folder:
        config = make_config(train_steps=100_000_000)
        # The replay is soon full; 1,000 gradient steps take a few seconds.
        config["train_params"].update(
            n_episodes_in_buffer=50,
            num_steps_per_iter=1000,
            n_train_episodes_per_iter=5,
            num_iter=100_000,
        )
        system = System(Path(folder), config, {"SAC_NUM_COLLECT_WORKERS": NUM_WORKERS})
        try:
            system.wait_for_train_step(1)
            deadline = time.monotonic() + 60 * args.minutes
            samples = []
            while time.monotonic() < deadline:
                samples.append(sample(system))
                if system.launcher.poll() is not None:
                    sys.exit(f"the launcher exited:\n{system.output.read_text()}")
                time.sleep(SAMPLE_SECS)
            result = compare(samples)
            result["train_step"] = system.read_learner().train_step
        finally:
            system.stop()
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
