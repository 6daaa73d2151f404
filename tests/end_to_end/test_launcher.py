"""The launcher in the background, killed, and with a service that keeps failing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.harness import Run, wait_for
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
import gym, json, os, pathlib
from gym.envs.classic_control import PendulumEnv
from tf_agents.environments import suite_gym
from tfagents_system.train_params_base import TrainParamsBase


class Recording(PendulumEnv):
    def __init__(self, record):
        super().__init__()
        self.record = record

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
        assert not any(psutil.pid_exists(pid) for pid in before.values())
        run.wait_for_progress()
        status = run.call("scripts/status.sh", run.experiment.root).stdout
        assert "| restarts 0 |" in status  # In this run; being resumed is not one.

        # SLURM's warning before the time limit.
        launcher = launcher_pid(run.experiment)
        assert launcher is not None
        os.kill(launcher, signal.SIGUSR1)
        wait_for(lambda: not psutil.pid_exists(launcher), "the launcher's end", 30)
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
