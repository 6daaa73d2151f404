"""TrainParams of the benchmarks: any gym, PyBullet or gymnasium environment by name.

The rest is in the JSON that `system.py` writes.
"""

from __future__ import annotations

import time
from typing import Any

import gym
import numpy as np
from tf_agents.environments import py_environment, suite_pybullet
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.train_params_base import TrainParamsBase


class GymnasiumEnvironment(py_environment.PyEnvironment):
    """A gymnasium environment: a truncation keeps discount 1."""

    def __init__(self, name: str, seed: int | None) -> None:
        """Makes the environment."""
        import gymnasium

        super().__init__()
        self._env = gymnasium.make(name)
        self._seed = seed

    def observation_spec(self) -> array_spec.ArraySpec:
        """Returns a float32 vector."""
        return array_spec.ArraySpec(self._env.observation_space.shape, np.float32)

    def action_spec(self) -> array_spec.BoundedArraySpec:
        """Returns the bounds of the action."""
        space = self._env.action_space
        return array_spec.BoundedArraySpec(
            space.shape, np.float32, space.low, space.high
        )

    def _reset(self) -> ts.TimeStep:
        observation, _ = self._env.reset(seed=self._seed)
        self._seed = None
        return ts.restart(np.float32(observation))

    def _step(self, action: Any) -> ts.TimeStep:
        observation, reward, terminated, truncated, _ = self._env.step(action)
        observation = np.float32(observation)
        if terminated:
            return ts.termination(observation, reward)
        if truncated:
            return ts.truncation(observation, reward)
        return ts.transition(observation, reward)


class SleepingEnvironment(py_environment.PyEnvironment):
    """Sleeps through each step, as a slow simulator on another machine would."""

    def __init__(self, step_secs: float) -> None:
        """Takes that long a step."""
        super().__init__()
        self._step_secs = step_secs
        self._observation = np.zeros(28, np.float32)

    def observation_spec(self) -> array_spec.ArraySpec:
        """Returns a float32 vector of the Minitaur's size."""
        return array_spec.ArraySpec((28,), np.float32)

    def action_spec(self) -> array_spec.BoundedArraySpec:
        """Returns an action of the Minitaur's size."""
        return array_spec.BoundedArraySpec((8,), np.float32, -1, 1)

    def _reset(self) -> ts.TimeStep:
        return ts.restart(self._observation)

    def _step(self, action: Any) -> ts.TimeStep:
        time.sleep(self._step_secs)
        return ts.transition(self._observation, 0.0)


class TrainParams(TrainParamsBase):
    """All hyperparameters come from the JSON."""

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Builds the environment that the JSON names."""
        name = self.env_config["env"]
        if name == "sleeping":
            return SleepingEnvironment(self.env_config["step_secs"])
        if name not in gym.envs.registry.env_specs:
            return GymnasiumEnvironment(name, seed)
        env = suite_pybullet.load(name)
        env.seed(seed)
        return env
