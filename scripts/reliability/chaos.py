"""Kills random processes of a training with SIGKILL and checks that nothing is lost.

    .venv/bin/python scripts/reliability/chaos.py

Trains Pendulum-v1 under the real launcher. Prints one JSON line with what was killed
and what was observed, and exits with 1 if there was any violation. With --kills 0
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

# Benchmarks and reliability checks start their trainings with the same class.
sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmark"))
from system import System

from tfagents_system.experiment import generations, run_lock, services, status_file
from tfagents_system.experiment.run_file import Run
from tfagents_system.experiment.status_file import Phase

POLL_SECS = 0.5
# A status is written about once a second.
STATUS_DELAY_SECS = 3.0
NUM_WORKERS = 2
ITERATION_TRAIN_STEPS = 200
# After a burst of kills the training must make progress before the next burst: a start
# takes several seconds, and a process killed while starting has nothing to lose.
KILLS_PER_BURST = 4
MAX_RECOVERY_SECS = 120.0


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
    """Checks a training again and again, and collects the violations.

    Attributes:
      violations: What must not have happened, a line each.
      max_lost_train_steps: Most gradient steps that had to be taken again.
      recovery_secs: How long each wait for progress took.
    """

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
        """Checks once."""
        self._check_counters()
        self._check_processes()
        time.sleep(POLL_SECS)

    def wait_for_progress(self) -> None:
        """Checks until the training has taken the gradient steps of an iteration."""
        started = time.monotonic()
        before = self._system.read_learner().train_step
        while True:
            self.poll()
            train_step = self._system.read_learner().train_step
            if train_step >= before + ITERATION_TRAIN_STEPS:
                break
            if time.monotonic() - started > MAX_RECOVERY_SECS:
                self._expect(False, f"no progress from train step {before}")
                break
        self.recovery_secs.append(round(time.monotonic() - started, 1))

    def _check_counters(self) -> None:
        """Checks that neither learner nor replay is behind a completed checkpoint."""
        now = time.time()
        for generation in generations.list_generations(self._experiment)[:1]:
            self._checkpoints.setdefault(generation.path, (now, generation))
        completed = self._checkpoints_before_status(services.LEARNER)
        learner = self._system.read_learner()
        if learner.phase is Phase.TRAINING:
            saved = max((checkpoint.train_step for checkpoint in completed), default=0)
            self._expect(
                learner.train_step >= saved,
                f"learner at train step {learner.train_step}, checkpoint at {saved}",
            )
            lost = self._last_train_step - learner.train_step
            self.max_lost_train_steps = max(self.max_lost_train_steps, lost)
            self._last_train_step = learner.train_step
        completed = self._checkpoints_before_status(services.REPLAY_SERVER)
        replay_server = self._system.read_replay_server()
        if replay_server.phase is Phase.SERVING:
            saved = max((checkpoint.env_steps for checkpoint in completed), default=0)
            self._expect(
                replay_server.env_steps >= saved,
                f"replay at env step {replay_server.env_steps}, checkpoint at {saved}",
            )

    def _checkpoints_before_status(self, name: str) -> list[generations.Generation]:
        """Returns the checkpoints that were complete when a status was written.

        The status of a dead process holds what was true when it was written.
        """
        path = self._experiment.status(name)
        written_at = path.stat().st_mtime if path.exists() else 0.0
        return [
            generation
            for seen_at, generation in self._checkpoints.values()
            if seen_at < written_at - STATUS_DELAY_SECS
        ]

    def _check_processes(self) -> None:
        """Checks that no service has two processes, except for a moment at its end."""
        counts: collections.Counter[str] = collections.Counter()
        for command in self.commands():
            module = command.index("tfagents_system.processes")
            worker = command[-1] if "--worker" in command else ""
            counts[f"{command[module + 1]} {worker}".strip()] += 1
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
                is_service = "tfagents_system.processes" in command
                if is_service and root in command and "prepare" not in command:
                    commands.append(command)
        return commands

    def _expect(self, is_so: bool, violation: str) -> None:
        if not is_so:
            self.violations.append(f"{time.strftime('%T')} {violation}")
            print(self.violations[-1], file=sys.stderr, flush=True)


def targets(system: System) -> dict[str, int]:
    """Returns what may be killed: the pids of services and of their `supervise`."""
    pids = {}
    for name, process in system.processes().items():
        with contextlib.suppress(psutil.Error):
            pids[name] = process.pid
            parent = process.parent()
            if parent is not None and parent.name() == "supervise":
                pids[f"supervise of {name}"] = parent.pid
    return pids


def kill_tree(system: System) -> None:
    """Kills launcher and processes all at once, as a power cut would."""
    pids = [*run_lock.holders(system.experiment.lock), system.launcher.pid]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    system.launcher.wait()


def run(system: System, args: argparse.Namespace) -> dict[str, Any]:
    """Kills as often as asked, then lets the training finish."""
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
            sys.exit(f"the launcher exited too early:\n{system.output.read_text()}")
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
                train_step = system.read_learner().train_step
                print(
                    f"{sum(killed.values())}: {name} at train step {train_step}",
                    file=sys.stderr,
                    flush=True,
                )
    kills_ended_at = system.read_learner().train_step
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
    """Adds to the violations whatever is left behind after the end."""
    experiment, violations = system.experiment, result["violations"]
    if system.launcher.returncode or not experiment.done.exists():
        violations.append(f"no DONE, exit code {system.launcher.returncode}")
    if run_lock.is_running(experiment):
        violations.append("processes are left")
    zombies = [p for p in psutil.process_iter() if p.status() == "zombie"]
    own = [p.pid for p in zombies if p.ppid() == os.getpid()]
    if own:
        violations.append(f"zombies are left: {own}")
    port = Run.load(experiment).reverb_port
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
    parser.add_argument("--kills", type=int, default=200, help="of single processes")
    parser.add_argument("--tree_kills", type=int, default=5, help="of everything")
    parser.add_argument(
        "--period_secs", type=float, default=5.0, help="mean time between two kills"
    )
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
        workers = status_file.read_workers(system.experiment)
        result.update(
            train_step=system.read_learner().train_step,
            env_steps=system.read_replay_server().env_steps,
            final_returns=[worker.eval_return for worker in workers],
            secs=round(time.monotonic() - started),
        )
    print(json.dumps(result), flush=True)
    return 1 if result["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
