"""Runs the launcher as a user does and looks at what it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import imageio
import numpy as np
import psutil
import tensorflow as tf
from numpy.typing import NDArray

from tests.conftest import NO_PROXY, PENDULUM_PARAMS, REPOSITORY
from tfagents_system.experiment import run_lock, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.services import LEARNER, REPLAY_SERVER, worker_name
from tfagents_system.experiment.status_file import (
    CollectWorkerStatus,
    LearnerStatus,
    Phase,
    ReplayServerStatus,
)
from tfagents_system.launcher import daemontools, stop

# A training that goes on until it is stopped, and leaves the CPUs to others.
ENDLESS_PARAMS = """
import gym, time


class Paced(gym.Wrapper):
    def step(self, action):
        time.sleep(0.005)
        return super().step(action)
""" + PENDULUM_PARAMS.replace(
    '"Pendulum-v1"', '"Pendulum-v1", gym_env_wrappers=[Paced]'
)
ENDLESS = {
    "num_iter": 100_000,
    "n_buffer_init_episodes": 2,
    "n_train_episodes_per_iter": 1,
    "n_eval_episodes": 1,
}


def wait_for(condition: Callable[[], Any], what: str, timeout_secs: float = 120) -> Any:
    """Waits for a condition; returns its value."""
    deadline = time.monotonic() + timeout_secs
    while not (value := condition()):
        assert time.monotonic() < deadline, f"gave up waiting for {what}"
        time.sleep(0.2)
    return value


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Reads every scalar of a folder of event files: tag to (step, value)."""
    scalars: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                scalars.setdefault(value.tag, []).append((event.step, number))
    return scalars


class Run:
    """One experiment and the launcher that trains it."""

    def __init__(
        self,
        folder: Path,
        params: str,
        workers: int = 1,
        train_cpus: int | str = 1,
        **config: Any,
    ) -> None:
        """Writes the user's three files.

        Args:
          folder: Where to write them and the experiment directory.
          params: The params file's text.
          workers: SAC_NUM_COLLECT_WORKERS.
          train_cpus: SAC_TRAIN_CPUS; a learner on one CPU compiles in half the time.
          **config: The JSON.
        """
        # A name that a shell would trip over.
        self.experiment = Experiment(folder / "logs of 'mine' ü")
        params_path = folder / "old_params.py"
        params_path.write_text(params)
        config_path = folder / "old_config.json"
        config_path.write_text(json.dumps(config))
        self.variables = folder / "training_variables.sh"
        self.variables.write_text(
            f"SAC_NUM_COLLECT_WORKERS={workers}\nSAC_TRAIN_CPUS={train_cpus}\n"
            f"SAC_PARAMS={params_path}\nSAC_CONFIG={config_path}\n"
        )
        self.services = [REPLAY_SERVER, LEARNER, *map(worker_name, range(workers))]
        inherited = {k: v for k, v in os.environ.items() if k not in NO_PROXY}
        self.environment = {
            **inherited,
            "SAC_EXP_DIR": str(self.experiment.root),
            # A proxy must not come between the processes: the launcher sees to it.
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        }
        self.output = folder / "output"
        self.launcher: subprocess.Popen[bytes] | None = None
        # The words of a command that runs the launcher.
        self.before: list[str] = []

    def start_launcher(self) -> None:
        """Starts the launcher in the foreground of a session of its own."""
        with self.output.open("ab") as output:
            self.launcher = subprocess.Popen(
                [*self.before, REPOSITORY / "launch_training.sh", self.variables],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def call(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs a command of the repository on this experiment to its end."""
        return subprocess.run(
            [REPOSITORY / command[0], *command[1:]],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def has_ended(self) -> bool:
        """Returns whether the launcher ended with 0; fails if with another code."""
        assert self.launcher is not None
        code = self.launcher.poll()
        assert code in (None, 0), self.output.read_text()
        return code == 0

    @property
    def replay_server(self) -> ReplayServerStatus:
        """What the replay server says of itself."""
        return status_file.read_replay_server(self.experiment)

    @property
    def learner(self) -> LearnerStatus:
        """What the learner says of itself."""
        return status_file.read_learner(self.experiment)

    def worker(self, number: int = 0) -> CollectWorkerStatus:
        """Returns what a collect worker says of itself."""
        return status_file.read_worker(self.experiment, worker_name(number))

    @property
    def train_step(self) -> int:
        """Gradient steps done, as the learner says."""
        return self.learner.train_step

    @property
    def env_steps(self) -> int:
        """Rows ever inserted, as the replay server says."""
        return self.replay_server.env_steps

    def pid(self, name: str) -> int | None:
        """Returns the pid of a service."""
        return daemontools.pid_of(self.experiment, name)

    def pids(self) -> dict[str, int]:
        """Returns the pids of all services; waits until all are up."""
        wait_for(lambda: all(self.pid(name) for name in self.services), "all services")
        return {name: self.pid(name) or 0 for name in self.services}

    def is_replaced(self, name: str, old_pid: int) -> Callable[[], bool]:
        """Returns a condition: the service has another process than that."""
        return lambda: self.pid(name) not in (None, old_pid)

    def wait_until_training(self) -> None:
        """Waits until replay server and learner work, and their statuses are theirs.

        A process that was restarted has at first the counters of the one before.
        """

        def is_training() -> bool:
            server, learner = self.replay_server, self.learner
            return (
                server.phase is Phase.SERVING
                and server.pid == self.pid(REPLAY_SERVER)
                and learner.phase is Phase.TRAINING
                and learner.pid == self.pid(LEARNER)
            )

        wait_for(is_training, "replay server and learner")

    def wait_for_progress(self, train_steps: int = 40) -> None:
        """Waits until more gradient steps are taken."""
        before = self.train_step
        wait_for(lambda: self.train_step >= before + train_steps, "train steps")

    def log(self, name: str) -> str:
        """Returns all of a service's log; multilog begins a new file after a crash."""
        current = self.experiment.service_log(name)
        older = sorted(current.parent.glob("@*"))
        return "".join(path.read_text() for path in (*older, current))

    def assert_nothing_is_left(self) -> None:
        """Asserts that no process works on this experiment."""
        assert not run_lock.is_running(self.experiment)
        left = [
            process.info
            for process in psutil.process_iter(["pid", "cmdline", "status"])
            if str(self.experiment.root) in " ".join(process.info["cmdline"] or [])
        ]
        assert left == []
        assert not self.experiment.temporary_files.exists()

    def close(self) -> None:
        """Stops whatever a failed test left."""
        if self.output.exists():
            print(self.output.read_text())
        # First: it would start the services again.
        if self.launcher is not None and self.launcher.poll() is None:
            self.launcher.kill()
            self.launcher.wait()
        stop.stop(self.experiment)


def read_frames(path: str | Path) -> NDArray[np.uint8]:
    """Returns a video's frames, of shape (frames, height, width, 3)."""
    return np.stack(imageio.mimread(path, memtest=False))


def check_trained(experiment: Experiment, train_steps: int) -> None:
    """Checks that worker 0 collected and evaluated until training was complete."""
    assert status_file.read_learner(experiment).train_step == train_steps
    assert experiment.is_trained_for(train_steps)
    assert list(experiment.root.glob("events.*.hparams"))
    returns = read_scalars(experiment.train_summaries(worker_name(0)))["Metrics/return"]
    assert returns[0][0] == 0
    assert returns[-1][0] > 0, "no episode was collected with a newer policy"
    worker = status_file.read_worker(experiment, worker_name(0))
    assert worker.eval_train_step == train_steps
    assert worker.eval_return is not None
    assert np.isfinite(worker.eval_return)


def check_video(path: str | Path, min_frames: int = 3) -> None:
    """Checks that a video shows something that moves.

    The environment must be one in which something moves, and for so many env steps,
    whatever the policy does: what a short training has learned must not decide a test.
    """
    frames = read_frames(path).astype(int)
    assert len(frames) >= min_frames
    changes = np.abs(np.diff(frames, axis=0)).max()
    assert changes > 50, "nothing moves in the video"


def evaluate(run: Run) -> dict[str, Any]:
    """Evaluates to a video; returns what run.py reports of the episode."""
    command = [sys.executable, "tfagents_system/run.py", "--json"]
    command += ["--exp_dir", str(run.experiment.root), "--num_episodes", "1"]
    result = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (episode,) = json.loads(result.stdout)["episodes"]
    check_video(episode["video"])
    return dict(episode)
