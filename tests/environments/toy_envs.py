"""Environments that the tests of this folder share."""

from __future__ import annotations

import collections
from typing import Any, Callable

import gymnasium
import numpy as np
from dm_control.rl import control
from dm_control.suite import cartpole
from gymnasium import spaces
from numpy.typing import NDArray
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.environments import hooks
from tfagents_system.train_params_base import TrainParamsBase


class EnvParams(TrainParamsBase):
    """Builds what it is given."""

    def __init__(self, make: Callable[..., Any], horizon: int = 1000) -> None:
        super().__init__({"horizon": horizon})
        self.make = make

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        return self.make()


class CountingEnv(py_environment.PyEnvironment):
    """Float64 throughout; never ends, never resets itself; counts its steps."""

    def __init__(self, terminal_at: int | None = None) -> None:
        super().__init__(handle_auto_reset=False)
        self.steps = 0
        self.terminal_at = terminal_at
        self.last_action: Any = None
        self.state: dict[str, Any] = {}

    def observation_spec(self) -> Any:
        return array_spec.ArraySpec((2,), np.float64, "observation")

    def action_spec(self) -> Any:
        return array_spec.BoundedArraySpec((1,), np.float64, -1.0, 1.0, "action")

    def set_state(self, state: dict[str, Any]) -> None:
        self.state.update(state)

    def _observation(self) -> NDArray[Any]:
        return np.array([self.steps, 0.5])

    def _reset(self) -> ts.TimeStep:
        self.steps = 0
        return ts.restart(self._observation())

    def _step(self, action: Any) -> ts.TimeStep:
        self.steps += 1
        self.last_action = action
        if self.steps == self.terminal_at:
            return ts.termination(self._observation(), 1.0)
        return ts.transition(self._observation(), 1.0)


class FallingCartpole(cartpole.Balance):
    """Ends in its third step."""

    def initialize_episode(self, physics: Any) -> None:
        self.steps = -1  # Of which the first begins the episode.
        super().initialize_episode(physics)

    def after_step(self, physics: Any) -> None:
        super().after_step(physics)
        self.steps += 1

    def get_termination(self, physics: Any) -> float | None:
        return 0.0 if self.steps == 3 else None


def make_falling_cartpole() -> control.Environment:
    """Builds a dm_control environment whose episodes end in a terminal state."""
    physics = cartpole.Physics.from_xml_string(*cartpole.get_model_and_assets())
    task = FallingCartpole(swing_up=False, sparse=False, random=1)
    return control.Environment(physics, task)


class StrangeEnv(gymnasium.Env[Any, Any]):
    """Nested observations and whatever end the test wants."""

    def __init__(self, ends: list[tuple[bool, bool]] | None = None) -> None:
        self.observation_space = spaces.Dict(
            collections.OrderedDict(
                picture=spaces.Box(0, 255, (4, 5, 3), np.uint8),
                arm=spaces.Tuple(
                    [
                        spaces.Box(np.array([-1.0, -2.0]), 3.0, dtype=np.float64),
                        spaces.Discrete(3, start=5),
                    ]
                ),
                bits=spaces.MultiBinary(2),
                many=spaces.MultiDiscrete(np.array([2, 3])),
            )
        )
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float64)
        self.ends = ends or [(False, False)]
        self.actions: list[Any] = []
        self.numbers = np.zeros(2)

    def _observation(self) -> dict[str, Any]:
        return {  # In another order than the space.
            "many": [1, 2],
            "bits": np.array([0, 1], np.int8),
            "arm": (self.numbers, 6),
            "picture": np.full((4, 5, 3), 7, np.uint8),
        }

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observation(), {"seed": seed}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self.numbers += 1  # The array that it has returned already.
        terminated, truncated = self.ends[min(len(self.actions), len(self.ends)) - 1]
        info = {"step": len(self.actions)}
        return self._observation(), 0.5, terminated, truncated, info


def make_env(make: Callable[..., Any], horizon: int = 1000) -> Any:
    """Builds an environment as a worker does."""
    return hooks.make_collect_env(EnvParams(make, horizon), worker=0, seed=0)


def last_time_step(env: py_environment.PyEnvironment) -> tuple[ts.TimeStep, int]:
    """Runs one episode with a constant action; returns its end and length."""
    action = np.zeros(env.action_spec().shape, np.float32)
    time_step = env.reset()
    length = 0
    while not time_step.is_last():
        time_step = env.step(action)
        length += 1
    return time_step, length


def flat(observation: Any) -> NDArray[Any]:
    """Returns all numbers of an observation."""
    if isinstance(observation, dict):
        return np.concatenate([flat(observation[key]) for key in sorted(observation)])
    return np.ravel(observation)


def first_steps(env: Any, count: int = 5) -> NDArray[Any]:
    """Returns the observations of an episode's beginning."""
    action = np.full(env.action_spec().shape, 0.5, np.float32)
    observations = [flat(env.reset().observation)]
    observations += [flat(env.step(action).observation) for _ in range(count)]
    return np.stack(observations)
