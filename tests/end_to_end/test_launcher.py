"""The launcher in the background, killed, and with a service that keeps failing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import Run, wait_for
from tests.host.test_process_tree import is_dead
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.generations import list_generations
from tfagents_system.experiment.run_lock import launcher_pid
from tfagents_system.experiment.status_file import (
    LAUNCHER,
    Phase,
    Status,
    read_status,
)
from tfagents_system.experiment.status_writer import StatusWriter

# An environment with a parameter that it writes down whenever it is set.
PARAMS = """
import gym, json, os, pathlib, time
from gym.envs.classic_control import PendulumEnv
from tf_agents.environments import suite_gym
from tfagents_system.train_params_base import TrainParamsBase


class Recording(PendulumEnv):
    def __init__(self, record):
        super().__init__()
        self.record = record

    def step(self, action):
        time.sleep(0.005)  # Leaves the CPUs to what is waited for.
        return super().step(action)

    def set_state(self, state):
        if "SLURM_PROCID" in os.environ:  # Not in the prepare step.
            with self.record.open("a") as record:
                record.write(json.dumps(state) + "\\n")


class TrainParams(TrainParamsBase):
    def __init__(self, env_config):
        super().__init__(env_config)
        self.num_iter = 100_000
        self.num_steps_per_iter = 10
        self.n_buffer_init_episodes = 3
        self.n_eval_episodes = 1
        self.eval_period_itrs = 1000
        self.train_batch_size = 16
        self.checkpoint_period_itrs = 20
        self.actor_fc_layer_params = (16,)
        self.critic_joint_fc_layer_params = (16,)

    def env_ctor(self, seed=None, *args, **kwargs):
        if self.env_config["failing_worker"] == os.environ.get("SLURM_PROCID"):
            raise RuntimeError("fails in one worker only")
        return suite_gym.wrap_env(Recording(pathlib.Path(self.env_config["record"])))
"""

pytestmark = pytest.mark.timeout(300)


def check_detached_launcher(run: Run, output: str) -> None:
    """Checks that the launcher of `--detach` trains when that returns."""
    status = read_status(run.experiment, LAUNCHER, Status)
    assert status.phase is Phase.TRAINING
    assert status.pid == launcher_pid(run.experiment)
    assert f"In the background as pid {status.pid};" in output
    # All that the launcher has printed so far, before it starts the processes.
    assert f"Training in {run.experiment.root}" in output


def test_background_curriculum_and_a_killed_launcher(tmp_path: Path) -> None:
    record = tmp_path / "states"
    run = Run(
        tmp_path,
        PARAMS,
        horizon=50,
        record=str(record),
        failing_worker="none",
        curriculum={"g": {"iters": [3, 0], "range": [9.0, 10.0]}},
    )
    try:
        result = run.call("launch_training.sh", run.variables, "--detach")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "In the background as pid" in result.stdout
        check_detached_launcher(run, result.stdout)
        wait_for(lambda: run.learner.iteration > 5, "iterations")
        wait_for(lambda: record.read_text().count("\n") == 2, "the curriculum")
        assert record.read_text() == '{"g": 9.0}\n{"g": 10.0}\n'
        # Reported after the environment has been told.
        wait_for(
            lambda: run.worker().curriculum == {"g": 10.0},
            "the curriculum's report",
        )
        status = run.call("scripts/status.sh", run.experiment.root).stdout
        assert f"running, launcher pid {launcher_pid(run.experiment)}" in status
        assert "curriculum: {'g': 10.0}" in status

        # Its processes train on; the next launcher stops them and resumes.
        launcher = launcher_pid(run.experiment)
        assert launcher is not None
        before = run.pids()
        os.kill(launcher, signal.SIGKILL)
        wait_for(lambda: launcher_pid(run.experiment) is None, "the launcher's end")
        run.wait_for_progress()
        assert (
            "running without launcher"
            in run.call("scripts/status.sh", run.experiment.root).stdout
        )
        result = run.call("launch_training.sh", run.variables, "--detach")
        assert "left processes of this run; stopping them" in result.stdout
        check_detached_launcher(run, result.stdout)
        assert all(map(is_dead, before.values()))
        run.wait_for_progress()
        status = run.call("scripts/status.sh", run.experiment.root).stdout
        assert "| restarts 0 |" in status  # In this run; being resumed is not one.

        # SLURM's warning before the time limit.
        launcher = launcher_pid(run.experiment)
        assert launcher is not None
        os.kill(launcher, signal.SIGUSR1)
        wait_for(lambda: is_dead(launcher), "the launcher's end", 60)
        run.assert_nothing_is_left()
        step = run.train_step
        assert list_generations(run.experiment)[0].train_step == step
        assert "Stopped. The same" in (run.experiment.root / "launcher.log").read_text()
        result = run.call("launch_training.sh", run.variables, "--detach")
        wait_for(lambda: run.train_step > step, "more train steps")

        started = time.monotonic()
        result = run.call("scripts/stop_training.sh", run.experiment.root)
        assert result.returncode == 0
        assert time.monotonic() - started < 20
        run.assert_nothing_is_left()
        assert run.call("scripts/stop_training.sh", run.experiment.root).returncode == 0
    finally:
        run.close()


def test_detach_tells_of_a_launcher_that_ends_before_it_trains(
    tmp_path: Path,
) -> None:
    # An environment without set_state has no curriculum.
    run = Run(
        tmp_path,
        PARAMS.replace("def set_state", "def forget"),
        horizon=50,
        record=os.devnull,
        failing_worker="none",
        curriculum={"g": {"iters": [3, 0], "range": [9.0, 10.0]}},
    )
    try:
        # What an earlier launcher left says that it trains.
        run.experiment.root.mkdir()
        log = run.experiment.root / "launcher.log"
        log.write_text(f"Training in {run.experiment.root}; stop with Ctrl-C.\n")
        StatusWriter(run.experiment, LAUNCHER, Status).enter(Phase.TRAINING)
        result = run.call("launch_training.sh", run.variables, "--detach")
        assert result.returncode == 2
        assert "has no set_state(state)" in result.stdout
        assert result.stdout.endswith("error: nothing was started\n")
        assert "Training in" not in result.stdout
        assert "In the background" not in result.stdout
        run.assert_nothing_is_left()
    finally:
        run.close()


def test_service_that_keeps_failing_ends_the_run_with_its_error(
    tmp_path: Path,
) -> None:
    # The other worker keeps working, and so does the learner.
    run = Run(
        tmp_path, PARAMS, workers=2, horizon=50, record=os.devnull, failing_worker="1"
    )
    try:
        result = run.call("launch_training.sh", run.variables)
        assert result.returncode == 2
        assert "RuntimeError: fails in one worker only" in result.stdout
        assert "collect_worker_1 failed 5 times without progress" in result.stderr
        assert run.worker(0).worker_env_steps > 0
        run.assert_nothing_is_left()
    finally:
        run.close()


# Simulators of every kind, noted by their pids; one of each for each process that
# builds the environment.
SIMULATORS = """
import os, pathlib, signal, subprocess

NOTE = "trap '' TERM; echo $$ >>{record}; while :; do sleep 100; done"


def simulate(record):
    note = NOTE.format(record=record)
    subprocess.Popen(["sh", "-c", note])
    subprocess.Popen(["sh", "-c", note], start_new_session=True, env={})
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execlp("sh", "sh", "-c", note)
        os._exit(0)
"""


def test_nothing_that_an_environment_starts_outlives_the_run(tmp_path: Path) -> None:
    record = tmp_path / "simulators"
    run = Run(
        tmp_path,
        SIMULATORS
        + PARAMS.replace(
            "        self.record = record\n",
            "        self.record = record\n        simulate(record)\n",
        ),
        horizon=50,
        record=str(record),
        failing_worker="none",
    )

    def noted() -> list[int]:
        return [int(pid) for pid in record.read_text().split()]

    def living() -> list[int]:
        return [pid for pid in noted() if not is_dead(pid)]

    try:
        run.start_launcher()
        wait_for(lambda: run.worker().worker_env_steps > 0, "env steps", 240)
        # Those of the prepare step are gone; the worker has two environments.
        of_prepare = len(noted()) - len(living())
        assert of_prepare >= 3
        assert len(living()) % 3 == 0
        before = living()
        assert before
        # They do not pile up.
        worker = run.pid("collect_worker_0")
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        wait_for(run.is_replaced("collect_worker_0", worker), "another worker")
        # One that has cleared its environment is known at the end only.
        wait_for(lambda: len({*before} & {*living()}) == len(before) // 3, "their end")
        wait_for(lambda: len(noted()) > of_prepare + len(before), "new ones", 240)
        # A stopped launcher is continued.
        assert run.launcher is not None
        run.launcher.send_signal(signal.SIGTSTP)
        result = run.call("scripts/stop_training.sh", run.experiment.root)
        assert result.returncode == 0, result.stdout + result.stderr
        assert run.launcher.wait(10) == 128 + signal.SIGTERM
        assert living() == []
        run.assert_nothing_is_left()
    finally:
        run.close()


def test_a_directory_that_is_moved_ends_the_run_and_does_not_come_back(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, PARAMS, horizon=50, record=os.devnull, failing_worker="none")
    moved = Experiment(tmp_path / "moved")
    try:
        run.start_launcher()
        wait_for(lambda: run.worker().worker_env_steps > 0, "env steps", 240)
        # TensorFlow makes folders for the policies that the learner exports at first.
        exported = run.experiment.policies / "collect_policy"
        wait_for(exported.exists, "exported policies", 240)
        pids = [*run.pids().values(), *run_lock.holders(run.experiment.lock)]
        run.experiment.root.rename(moved.root)
        assert run.launcher is not None
        assert run.launcher.wait(60) == 2
        output = run.output.read_text()
        assert f"error: {run.experiment.root} was moved or deleted" in output
        assert "Traceback" not in output
        assert all(is_dead(pid) for pid in pids)
        assert not run.experiment.root.exists()
        assert moved.config.exists()
    finally:
        run.close()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_detached_launch_that_is_stopped_at_once_does_not_train(
    tmp_path: Path, signum: signal.Signals
) -> None:
    # The user's code takes its time.
    run = Run(
        tmp_path,
        "import time\ntime.sleep(1000)\n" + PARAMS,
        horizon=50,
        record=os.devnull,
        failing_worker="none",
    )
    files = {
        "SAC_PARAMS": str(tmp_path / "old_params.py"),
        "SAC_CONFIG": str(tmp_path / "old_config.json"),
    }
    try:
        detaching = subprocess.Popen(
            [sys.executable, "-m", "tfagents_system.launcher.launch", "--detach"],
            cwd=REPOSITORY,
            env={**run.environment, **files},
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: launcher_pid(run.experiment), "the launcher")
        detaching.send_signal(signum)
        output, _ = detaching.communicate(timeout=60)
        assert detaching.returncode == 128 + signum
        assert "In the background" not in output
        assert not run.experiment.services.exists()
        run.assert_nothing_is_left()
        # Stopping while it is being prepared is asked of the lock.
        run.start_launcher()
        wait_for(lambda: launcher_pid(run.experiment), "the launcher")
        result = run.call("scripts/status.sh", run.experiment.root)
        assert result.returncode == 0, result.stderr
        assert "running, launcher pid" in result.stdout
        assert result.stdout.count("\n") == 1
        result = run.call("scripts/stop_training.sh", run.experiment.root)
        assert result.returncode == 0, result.stderr
        assert run.launcher is not None
        assert run.launcher.wait(10) == 128 + signal.SIGTERM
        run.assert_nothing_is_left()
    finally:
        run.close()
