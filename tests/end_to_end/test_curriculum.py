"""The archived documentation's curriculum through the real processes, and kills."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import Run, wait_for
from tfagents_system.experiment.generations import list_generations

# An environment that writes down what state it is set to, and by which process. Its
# time limit is the horizon: the JSON has none.
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
        time.sleep(0.001)  # Some iterations between a test's look and its kill.
        return super().step(action)

    def set_state(self, state):
        if "SLURM_PROCID" in os.environ:  # Not in the prepare step.
            with self.record.open("a") as record:
                record.write(json.dumps([os.getpid(), state]) + "\\n")


class TrainParams(TrainParamsBase):
    def __init__(self, env_config):
        super().__init__(env_config)
        # The learner may take some iterations while no episode begins.
        self.num_iter = 160
        self.num_steps_per_iter = 10
        self.n_buffer_init_episodes = 3
        self.eval_period_itrs = 0
        self.train_batch_size = 16
        self.checkpoint_period_itrs = 20
        self.actor_fc_layer_params = (16,)
        self.critic_joint_fc_layer_params = (16,)

    def env_ctor(self, seed=None, *args, **kwargs):
        env = Recording(pathlib.Path(self.env_config["record"]))
        return suite_gym.wrap_env(gym.wrappers.TimeLimit(env, 50))
"""
# The documentation's example with a thousandth of its iterations.
CURRICULUM: dict[str, dict[str, Any]] = {
    "mass": {"iters": [0, 20, 30, 40, 50], "range": [0.0, 10.0]},
    "friction": {"iters": [50, 60, 70, 90, 120], "range": [0.1, 0.5]},
}
WORKER = "collect_worker_0"
States = dict[int, list[dict[str, float]]]

pytestmark = pytest.mark.timeout(300)


def archived_rule(iteration: int) -> dict[str, float]:
    """Runs the archived documentation's pseudo-code up to an iteration."""
    state = {}
    for name, entry in CURRICULUM.items():
        iters = list(entry["iters"])
        first, last = entry["range"]
        values = np.linspace(first, last, len(iters)).tolist()
        for index in range(iteration + 1):
            while len(iters) and index >= iters[0]:
                iters.pop(0)
                state[name] = values.pop(0)
    return state


def states_set(record: Path) -> States:
    """Returns what the environment was set to, in order, by process."""
    states: States = {}
    for line in record.read_text().splitlines():
        pid, state = json.loads(line)
        states.setdefault(pid, []).append(state)
    return states


def iterations_set(run: Run) -> dict[int, list[int]]:
    """Returns the iterations at which a worker applied the curriculum, by process."""
    iterations: dict[int, list[int]] = {}
    pid = 0
    for line in run.log(WORKER).splitlines():
        if match := re.search(r": pid (\d+), CPUs", line):
            pid = int(match[1])
        if match := re.search(r"curriculum at iteration (\d+): (.*)", line):
            iterations.setdefault(pid, []).append(int(match[1]))
            assert ast.literal_eval(match[2]) == archived_rule(int(match[1]))
    return iterations


def assert_follows_the_rule(states: States, iterations: dict[int, list[int]]) -> None:
    """Asserts that each call set exactly what its iteration brought."""
    assert list(states) == list(iterations)
    for pid, calls in states.items():
        in_force: dict[str, float] = {}
        assert len(calls) == len(iterations[pid])
        for call, iteration in zip(calls, iterations[pid]):
            expected = archived_rule(iteration)
            # All of it at first, also after a resume; then only what changes, at once.
            assert call == {
                name: value
                for name, value in expected.items()
                if in_force.get(name) != value
            }
            in_force = expected


def kill_everything(run: Run) -> None:
    """Kills launcher and processes as a power cut would."""
    assert run.launcher is not None
    launcher = psutil.Process(run.launcher.pid)
    processes = [launcher, *launcher.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    run.launcher.wait()
    psutil.wait_procs(processes, timeout=20)


def evaluated_length(run: Run, config: Path) -> int:
    """Returns the length of an episode that run.py runs."""
    command = [sys.executable, "tfagents_system/run.py", "--config", str(config)]
    command += ["--exp_dir", str(run.experiment.root), "--num_episodes", "1"]
    result = subprocess.run(
        [*command, "--no_video", "--json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    length: int = json.loads(result.stdout)["episodes"][0]["length"]
    return length


def test_curriculum_of_the_archived_documentation(tmp_path: Path) -> None:
    record = tmp_path / "states"
    run = Run(tmp_path, PARAMS, record=str(record), curriculum=CURRICULUM)

    def wait_for_iteration(iteration: int) -> None:
        wait_for(
            lambda: run.worker().policy_train_step >= 10 * iteration,
            f"iteration {iteration}",
        )

    try:
        run.start_launcher()
        wait_for_iteration(32)
        assert json.loads(run.experiment.config.read_text())["horizon"] == 50
        first = run.pids()[WORKER]
        os.kill(first, signal.SIGKILL)
        wait_for(run.is_replaced(WORKER, first), "the next worker")
        wait_for(
            lambda: [g for g in list_generations(run.experiment) if g.train_step > 500],
            "a checkpoint with both parameters in force",
        )
        second = run.pids()[WORKER]
        wait_for(lambda: second in states_set(record), "the second worker's state")
        kill_everything(run)
        run.start_launcher()
        wait_for(run.has_ended, "the end of the training", 200)

        states = states_set(record)
        assert_follows_the_rule(states, iterations_set(run))
        assert list(states)[:2] == [first, second]
        third = states[list(states)[2]]
        assert len(states) == 3
        assert states[first][0] == {"mass": 0.0}
        assert "mass" in states[second][0]
        assert set(third[0]) == {"mass", "friction"}
        assert third[0]["mass"] == 10.0
        assert third[-1] == {"friction": pytest.approx(0.5)}

        # With the JSON as the user wrote it, without a horizon.
        assert evaluated_length(run, tmp_path / "old_config.json") == 50
    finally:
        run.close()
