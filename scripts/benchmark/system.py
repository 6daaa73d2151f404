"""Trains with Distributed SAC's own launcher and measures the processes from outside.

Prints one JSON line: rates, wall and CPU milliseconds per gradient step, memory of each
process, start-up time. With --exp_dir the experiment directory is kept, and
scripts/plot_returns.py plots its evaluations.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tfagents_system.experiment import services, status_file
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.experiment.status_file import LearnerStatus, ReplayServerStatus
from tfagents_system.launcher import daemontools

FOLDER = Path(__file__).resolve().parent


class System:
    """One training under the launcher.

    Attributes:
      experiment: Its experiment directory.
      variables: The variables file.
      output: File with what the launcher prints.
      launcher: The launcher's process.
      started: When the launcher was last started, Unix time in seconds.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        variables: dict[str, Any],
        exp_dir: Path | None = None,
    ) -> None:
        """Starts the launcher.

        Args:
          folder: Holds the configuration and the launcher's output.
          config: The JSON.
          variables: Of the variables file, e.g. SAC_NUM_COLLECT_WORKERS.
          exp_dir: The experiment directory; None: one in `folder`.
        """
        self.experiment = Experiment((exp_dir or folder / "experiment").resolve())
        config_path = folder / "config.json"
        config_path.write_text(json.dumps(config))
        self.variables = folder / "variables.sh"
        variables = {
            "SAC_EXP_DIR": self.experiment.root,
            "SAC_PARAMS": FOLDER / "benchmark_params.py",
            "SAC_CONFIG": config_path,
            **variables,
        }
        self.variables.write_text(
            "".join(f"{name}={value}\n" for name, value in variables.items())
        )
        self.output = folder / "output"
        self.launch()

    def launch(self) -> None:
        """Starts the launcher, for the first time or to resume."""
        self.started = time.time()
        with self.output.open("ab") as output:
            self.launcher = subprocess.Popen(
                [REPOSITORY / "launch_training.sh", self.variables],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def read_learner(self) -> LearnerStatus:
        """Returns the learner's status."""
        return status_file.read_learner(self.experiment)

    def read_replay_server(self) -> ReplayServerStatus:
        """Returns the replay server's status."""
        return status_file.read_replay_server(self.experiment)

    def wait_for_train_step(self, train_step: int) -> tuple[float, int, int]:
        """Waits until the learner reports that it has reached a train step.

        It waits for a new report, so that the time belongs to the count.

        Returns:
          Unix time of the report in seconds, its train step and its env steps.
        """
        path = self.experiment.status(services.LEARNER)
        reported_at = 0.0
        while True:
            if self.launcher.poll() is not None:
                sys.exit(f"the launcher exited:\n{self.output.read_text()}")
            if path.exists() and path.stat().st_mtime != reported_at:
                first = reported_at == 0
                reported_at = path.stat().st_mtime
                status = self.read_learner()
                if not first and status.train_step >= train_step:
                    return reported_at, status.train_step, status.env_steps
            time.sleep(0.02)

    def processes(self) -> dict[str, psutil.Process]:
        """Returns the living service processes by name."""
        processes = {}
        for folder in daemontools.service_folders(self.experiment):
            pid = daemontools.pid_of(self.experiment, folder.name)
            if pid is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    processes[folder.name] = psutil.Process(pid)
        return processes

    def cpu_secs(self) -> dict[str, float]:
        """Returns the CPU seconds that each process has used."""
        return {
            name: sum(process.cpu_times()[:2])
            for name, process in self.processes().items()
        }

    def stop(self) -> None:
        """Ends the training as Ctrl-C does."""
        self.launcher.send_signal(signal.SIGINT)
        self.launcher.wait()


def make_config(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the JSON: SAC as the peers run it, one gradient step per env step."""
    train_steps = args.untimed_steps + args.steps
    return {
        "env": args.env,
        "horizon": args.horizon,
        "step_secs": args.step_secs,
        "train_params": {
            "num_steps_per_iter": args.train_steps_per_1000_env_steps,
            "num_iter": args.num_iter
            or 10 + train_steps // args.train_steps_per_1000_env_steps,
            "n_train_episodes_per_iter": 1000 // args.horizon,
            "n_buffer_init_episodes": args.warm_up_env_steps // args.horizon,
            "n_episodes_in_buffer": 300_000 // args.horizon,
            "actor_learning_rate": args.learning_rate,
            "critic_learning_rate": args.learning_rate,
            "alpha_learning_rate": args.learning_rate,
            "discount": args.discount,
            "target_update_tau": args.tau,
            "sac_log_alpha": 0.0,
            "target_entropy": args.target_entropy,
            "eval_period_itrs": args.eval_period,
            "n_eval_episodes": 5,
            "checkpoint_period_itrs": 1000,
            "seed": args.seed,
        },
    }


def measure(system: System, args: argparse.Namespace) -> dict[str, Any]:
    """Measures a window of gradient steps."""
    started, first_step, first_env = system.wait_for_train_step(args.untimed_steps)
    cpu_before = system.cpu_secs()
    ended, last_step, last_env = system.wait_for_train_step(first_step + args.steps)
    cpu_after = system.cpu_secs()
    steps, wall_secs = last_step - first_step, ended - started
    return {
        "train_steps_per_sec": steps / wall_secs,
        "env_steps_per_sec": (last_env - first_env) / wall_secs,
        "wall_ms": wall_secs / steps * 1e3,
        "cpu_ms": sum(cpu_after[name] - cpu_before[name] for name in cpu_before)
        / steps
        * 1e3,
        "cpus_used": {
            name: (cpu_after[name] - cpu_before[name]) / wall_secs
            for name in cpu_before
        },
        "memory_mb": {
            name: process.memory_info().rss / 1e6
            for name, process in system.processes().items()
        },
        "pss_mb": {
            name: process.memory_full_info().pss / 1e6
            for name, process in system.processes().items()
        },
        "num_rows": system.read_replay_server().num_rows,
    }


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--env", required=True, help="any name that loaders.load knows, or sleeping"
    )
    parser.add_argument("--steps", type=int, default=4000, help="timed gradient steps")
    parser.add_argument(
        "--untimed_steps", type=int, default=1000, help="gradient steps before those"
    )
    parser.add_argument(
        "--to_the_end", action="store_true", help="train to the end; nothing is timed"
    )
    parser.add_argument(
        "--num_iter", type=int, default=0, help="default: what the steps need"
    )
    parser.add_argument(
        "--horizon", type=int, default=1000, help="env steps; must divide 1000"
    )
    parser.add_argument("--train_steps_per_1000_env_steps", type=int, default=1000)
    parser.add_argument("--warm_up_env_steps", type=int, default=1000)
    parser.add_argument(
        "--step_secs", type=float, default=0.0, help="of an env step of sleeping"
    )
    parser.add_argument("--learning_rate", type=float, default=3e-4)
    parser.add_argument("--discount", type=float, default=0.99)
    parser.add_argument("--tau", type=float, default=0.005)
    parser.add_argument("--target_entropy", type=float, default=None)
    parser.add_argument(
        "--eval_period",
        type=int,
        default=0,
        help="iterations between evaluations; default: no evaluation",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--exp_dir",
        type=Path,
        help="new experiment directory to keep; default: a temporary one",
    )
    parser.add_argument(
        "--set", nargs="*", default=[], help="variables: SAC_TRAIN_CPUS=2 ..."
    )
    args = parser.parse_args()
    if args.exp_dir is not None and args.exp_dir.exists():
        parser.error(f"--exp_dir {args.exp_dir} exists; each training needs a new one")
    variables = dict(setting.split("=", 1) for setting in args.set)
    with tempfile.TemporaryDirectory(prefix="sac_benchmark_") as folder:
        system = System(Path(folder), make_config(args), variables, args.exp_dir)
        result: dict[str, Any] = {"library": "distributed_sac", "env": args.env}
        try:
            first_step_at, *_ = system.wait_for_train_step(1)
            result["secs_to_first_train_step"] = first_step_at - system.started
            if args.to_the_end:
                system.launcher.wait()
            else:
                result.update(measure(system, args))
        finally:
            if system.launcher.poll() is None:
                system.stop()
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main()
