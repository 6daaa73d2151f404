"""Kills random processes of a training with SIGKILL and checks that nothing is lost.

    PYTHONPATH=. .venv/bin/python scripts/benchmark/chaos.py

Trains Pendulum-v1 under the real launcher. Prints one JSON line with what was killed
and what was seen, and ends with 1 if anything was not as it must be. With --kills 0
--tree_kills 0 it trains undisturbed, for comparison.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from system import System

from tfagents_system.experiment import generations
from tfagents_system.experiment.directory import read_json
from tfagents_system.launcher import daemontools
from tfagents_system.launcher.topology import LEARNER, REPLAY_SERVER

POLL_SECS = 0.5
# A process says once a second how far it is.
STATUS_DELAY_SECS = 3.0
NUM_WORKERS = 2
ITERATION_TRAIN_STEPS = 200
# Between bursts of so many kills the training must get on: with one every few seconds,
# and each start taking as long, nothing would ever be at stake.
KILLS_PER_BURST = 4
MAX_RECOVERY_SECS = 120.0


def make_config(train_steps: int) -> dict[str, Any]:
    """Returns the JSON: one gradient step an env step, a checkpoint every 200."""
    return {
        "env": "Pendulum-v1",
        "horizon": 200,
        "train_params": {
            "num_steps_per_iter": ITERATION_TRAIN_STEPS,
            "num_iter": train_steps // ITERATION_TRAIN_STEPS,
            "n_train_episodes_per_iter": 1,
            "n_buffer_init_episodes": 5,
            "n_episodes_in_buffer": 500,
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


class Watcher:
    """Looks at a training again and again; collects what must not be."""

    def __init__(self, system: System) -> None:
        """Watches the given training."""
        self._system = system
        self._experiment = system.experiment
        self._checkpoints: dict[Path, tuple[float, generations.Generation]] = {}
        self.violations: list[str] = []
        self.max_lost_train_steps = 0
        self.recovery_secs: list[float] = []
        self._last_train_step = 0
        self._doubled: set[str] = set()

    def poll(self) -> None:
        """Looks once."""
        self._check_counters()
        self._check_processes()
        time.sleep(POLL_SECS)

    def wait_for_progress(self) -> None:
        """Watches until the training has taken the steps of an iteration."""
        started = time.monotonic()
        before = int(self._system.read(LEARNER).get("train_step", 0))
        while True:
            self.poll()
            status = self._system.read(LEARNER)
            if status.get("train_step", 0) >= before + ITERATION_TRAIN_STEPS:
                break
            if time.monotonic() - started > MAX_RECOVERY_SECS:
                self._expect(False, f"no progress from train step {before}")
                break
        self.recovery_secs.append(round(time.monotonic() - started, 1))

    def _check_counters(self) -> None:
        """Neither learner nor replay may be behind a checkpoint that was there."""
        now = time.time()
        for generation in generations.list_generations(self._experiment)[:1]:
            if generation.path not in self._checkpoints:
                self._checkpoints[generation.path] = (now, generation)
        for name, key in ((LEARNER, "train_step"), (REPLAY_SERVER, "env_steps")):
            path = self._experiment.status(name)
            if not path.exists():
                continue
            # The status of one that is dead says what was so when it was written.
            written_at = path.stat().st_mtime
            status = self._system.read(name)
            if status.get("state") not in ("training", "serving"):
                continue
            acknowledged = max(
                (
                    getattr(generation, key)
                    for seen_at, generation in self._checkpoints.values()
                    if seen_at < written_at - STATUS_DELAY_SECS
                ),
                default=0,
            )
            self._expect(
                status.get(key, 0) >= acknowledged,
                f"{name}: {key} {status.get(key)} behind checkpoint {acknowledged}",
            )
            if name == LEARNER:
                lost = self._last_train_step - status["train_step"]
                self.max_lost_train_steps = max(self.max_lost_train_steps, lost)
                self._last_train_step = status["train_step"]

    def _check_processes(self) -> None:
        """No service may have two processes, but for the moment that dying takes."""
        counts: collections.Counter[str] = collections.Counter()
        for command in self.commands():
            module = command[command.index("-m") + 1].rsplit(".", 1)[1]
            worker = command[-1] if "--worker" in command else ""
            counts[f"{module} {worker}"] += 1
        doubled = {name for name, count in counts.items() if count > 1}
        for name in doubled & self._doubled:
            self._expect(False, f"two processes of {name}")
        self._doubled = doubled

    def commands(self) -> list[list[str]]:
        """Returns the command lines of the living service processes."""
        root = str(self._experiment.root)
        commands = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                is_service = "-m" in command and "tfagents_system.processes" in str(
                    command
                )
                if is_service and root in command and "prepare" not in str(command):
                    commands.append(command)
        return commands

    def _expect(self, is_so: bool, violation: str) -> None:
        if not is_so:
            self.violations.append(f"{time.strftime('%T')} {violation}")
            print(self.violations[-1], file=sys.stderr, flush=True)


def targets(system: System) -> dict[str, int]:
    """Returns the pids that may be killed: services and their supervise processes."""
    pids = {}
    for name, process in system.processes().items():
        with contextlib.suppress(psutil.Error):
            pids[name] = process.pid
            parent = process.parent()
            if parent is not None and parent.name() == "supervise":
                pids[f"supervise of {name}"] = parent.pid
    return pids


def kill_tree(system: System) -> None:
    """Kills launcher and processes all at once, as a power cut does."""
    pids = [*daemontools.lock_holders(system.experiment), system.launcher.pid]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    system.launcher.wait()


def run(system: System, args: argparse.Namespace) -> dict[str, Any]:
    """Kills until enough was killed, then lets the training end."""
    watcher = Watcher(system)
    rng = random.Random(args.seed)
    killed: collections.Counter[str] = collections.Counter()
    tree_kills_at = {
        (index + 1) * args.kills // (args.tree_kills + 1)
        for index in range(args.tree_kills)
    }
    system.wait_for_train_step(1)
    next_kill = time.monotonic()
    while sum(killed.values()) < args.kills + args.tree_kills:
        watcher.poll()
        if system.launcher.poll() is not None:
            sys.exit(f"the launcher ended too early:\n{system.output.read_text()}")
        if time.monotonic() < next_kill:
            continue
        if sum(killed.values()) % KILLS_PER_BURST == 0:
            watcher.wait_for_progress()
        next_kill = time.monotonic() + rng.uniform(0, 2 * args.period_secs)
        num_kills = sum(killed.values()) - killed["everything"]
        if num_kills in tree_kills_at:
            tree_kills_at.remove(num_kills)
            kill_tree(system)
            killed["everything"] += 1
            time.sleep(1)
            if watcher.commands():
                watcher.violations.append("processes outlived a kill of everything")
            system.launch()
            next_kill += 20
        elif pids := targets(system):
            name = rng.choice(sorted(pids))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[name], signal.SIGKILL)
                killed[name] += 1
                train_step = system.read(LEARNER).get("train_step")
                print(
                    f"{sum(killed.values())}: {name} at train step {train_step}",
                    file=sys.stderr,
                    flush=True,
                )
    kills_ended_at = int(system.read(LEARNER).get("train_step", 0))
    while system.launcher.poll() is None:
        watcher.poll()
    return {
        "killed": dict(killed),
        "train_step_at_the_last_kill": kills_ended_at,
        "max_lost_train_steps": watcher.max_lost_train_steps,
        "median_recovery_secs": statistics.median(watcher.recovery_secs or [0.0]),
        "max_recovery_secs": max(watcher.recovery_secs, default=0.0),
        "violations": watcher.violations,
    }


def check_end(system: System, result: dict[str, Any], shared: set[Path]) -> None:
    """Adds to the violations what is left after the end."""
    experiment, violations = system.experiment, result["violations"]
    if system.launcher.returncode or not experiment.done.exists():
        violations.append(f"no DONE, exit code {system.launcher.returncode}")
    if daemontools.is_running(experiment):
        violations.append("processes are left")
    zombies = [p for p in psutil.process_iter() if p.status() == "zombie"]
    own = [p.pid for p in zombies if p.ppid() == os.getpid()]
    if own:
        violations.append(f"zombies are left: {own}")
    port = read_json(experiment.run)["reverb_port"]
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("::", port))
        except OSError:
            violations.append(f"port {port} is still taken")
    if leaked := set(Path("/dev/shm").iterdir()) - shared:
        violations.append(f"shared memory is left: {sorted(leaked)}")
    if experiment.temporary_files.exists():
        violations.append("temporary files are left")


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--tree_kills", type=int, default=5)
    parser.add_argument("--period_secs", type=float, default=5.0, help="mean")
    parser.add_argument("--train_steps", type=int, default=70_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Stop the training too.
    shared = set(Path("/dev/shm").iterdir())
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sac_chaos_") as folder:
        system = System(
            Path(folder),
            make_config(args.train_steps),
            {"SAC_NUM_COLLECT_WORKERS": NUM_WORKERS},
        )
        try:
            result = run(system, args)
        finally:
            if system.launcher.poll() is None:
                system.stop()
        check_end(system, result, shared)
        workers = [system.read(f"collect_worker_{i}") for i in range(NUM_WORKERS)]
        result.update(
            train_step=system.read(LEARNER)["train_step"],
            env_steps=system.read(REPLAY_SERVER)["env_steps"],
            final_returns=[worker["eval_return"] for worker in workers],
            secs=round(time.monotonic() - started),
        )
    print(json.dumps(result), flush=True)
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
