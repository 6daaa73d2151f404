"""What the framework adds around every environment.

The archived system fed the environment's time steps to the agent as they came, and
with gym 0.23 each episode cut by a time limit was stored as a true terminal.
"""

from __future__ import annotations

import contextlib
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from tf_agents.environments import py_environment, wrappers
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.environments import layers
from tfagents_system.errors import UserError


def _as_float32_spec(spec: array_spec.ArraySpec) -> array_spec.ArraySpec:
    if spec.dtype != np.float64:
        return spec
    if isinstance(spec, array_spec.BoundedArraySpec):
        # A spec's infinity is the largest number of its dtype.
        largest = np.finfo(np.float32).max
        low, high = (
            np.clip(bound, -largest, largest).astype(np.float32)
            for bound in (spec.minimum, spec.maximum)
        )
        return array_spec.BoundedArraySpec(spec.shape, np.float32, low, high, spec.name)
    return array_spec.ArraySpec(spec.shape, np.float32, spec.name)


def _has_float64(specs: Any) -> bool:
    return any(spec.dtype == np.float64 for spec in tf.nest.flatten(specs))


class StandardEnvironment(wrappers.PyEnvironmentBaseWrapper):
    """Float32 throughout, a horizon, and a time limit is not a terminal state.

    - float64 observations, rewards and discounts become float32; actions go to the
      environment in its own dtype.
    - Where gym says that its time limit ended the episode, the discount is 1, so
      that the critic bootstraps (gym 0.23 and TF-Agents 0.19 together give 0).
    - An episode ends at the horizon, with the discount that the step has.
    - Values that are not finite, or of another shape than the spec says, are refused:
      one NaN in the replay would soon be in every network.
    - A reset that ends an episode and a step that begins one are refused: there is no
      transition to be made of them, and a worker would never get anywhere.
    - `set_state(dict)` reaches the environment through wrappers that lack it.
    """

    def __init__(self, env: py_environment.PyEnvironment, horizon: int) -> None:
        """Wraps an environment.

        Args:
          env: What `env_ctor` returned, as a PyEnvironment.
          horizon: Env steps of the longest episode.
        """
        super().__init__(env)
        self._horizon = horizon
        self._num_steps = 0
        self._action_dtypes = tf.nest.map_structure(
            lambda spec: spec.dtype, env.action_spec()
        )
        self._casts_action = _has_float64(env.action_spec())
        self._casts_observation = _has_float64(env.observation_spec())
        self._observation_spec = tf.nest.map_structure(
            _as_float32_spec, env.observation_spec()
        )
        self._action_spec = tf.nest.map_structure(_as_float32_spec, env.action_spec())
        self._is_nested = tf.nest.is_nested(self._observation_spec)
        self._shapes = [
            tuple(spec.shape) for spec in tf.nest.flatten(self._observation_spec)
        ]

    def observation_spec(self) -> Any:
        """Returns the observation spec with float32 for float64."""
        return self._observation_spec

    def action_spec(self) -> Any:
        """Returns the action spec with float32 for float64."""
        return self._action_spec

    def reward_spec(self) -> array_spec.ArraySpec:
        """Returns a float32 scalar."""
        return array_spec.ArraySpec((), np.float32, "reward")

    def set_state(self, state: dict[str, Any]) -> None:
        """Passes a state on to the `set_state` that the user defined.

        Args:
          state: Of the curriculum: parameter to value.

        Raises:
          UserError: No method of the environment takes one dictionary.
        """
        layers.find_set_state(self._env)(state)

    def _reset(self) -> ts.TimeStep:
        self._num_steps = 0
        time_step = self._env.reset()
        if time_step.step_type == ts.StepType.LAST:
            self._refuse("a last time step")
        return self._standard(time_step)

    def _step(self, action: Any) -> ts.TimeStep:
        if self._casts_action:
            action = tf.nest.map_structure(
                lambda array, dtype: np.asarray(array, dtype),
                action,
                self._action_dtypes,
            )
        step_type, reward, discount, observation = self._env.step(action)
        self._num_steps += 1
        if step_type == ts.StepType.FIRST:
            if not self._current_time_step.is_last():
                self._refuse("a first time step in the middle of an episode")
            self._num_steps = 0  # TF-Agents' way to begin another one.
        if step_type == ts.StepType.LAST:
            if discount == 0 and self._was_truncated():
                discount = 1
        elif self._num_steps >= self._horizon:
            step_type = ts.StepType.LAST
        return self._standard(ts.TimeStep(step_type, reward, discount, observation))

    def _standard(self, time_step: ts.TimeStep) -> ts.TimeStep:
        observation = time_step.observation
        if self._casts_observation:
            observation = tf.nest.map_structure(
                lambda array, spec: np.asarray(array, spec.dtype),
                observation,
                self._observation_spec,
            )
        reward = np.float32(time_step.reward)
        discount = np.float32(time_step.discount)
        self._check(observation, reward, discount)
        return ts.TimeStep(time_step.step_type, reward, discount, observation)

    def _check(self, observation: Any, reward: Any, discount: Any) -> None:
        """Refuses what would spoil the training.

        Raises:
          UserError: Says what the environment returned, and when.
        """
        arrays = tf.nest.flatten(observation) if self._is_nested else [observation]
        for array, shape in zip(arrays, self._shapes):
            if np.shape(array) != shape:
                self._refuse(
                    f"an observation of shape {np.shape(array)}, the spec says {shape}"
                )
            array = np.asarray(array)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                self._refuse(f"an observation with NaN or infinity: {array}")
        if np.ndim(reward) or not np.isfinite(reward):
            self._refuse(f"the reward {reward}, which is not one finite number")
        if np.ndim(discount) or not 0 <= discount <= 1:
            self._refuse(f"the discount {discount}, which is not between 0 and 1")

    def _refuse(self, what: str) -> NoReturn:
        when = f"step {self._num_steps} of an episode" if self._num_steps else "reset"
        raise UserError(f"the environment returned {what} (at {when}); correct it")

    def _was_truncated(self) -> bool:
        try:
            info = self._env.get_info()
        except NotImplementedError:  # A PyEnvironment need not have any.
            return False
        return isinstance(info, dict) and bool(info.get("TimeLimit.truncated", False))


def seed_episode(env: py_environment.PyEnvironment, seed: int, episode: int) -> None:
    """Seeds an episode, so that a resumed training sees the one it would have seen.

    Args:
      env: The environment; one that cannot be seeded stays as it is.
      seed: Of the training.
      episode: Number of the episode.
    """
    episode_seed = np.random.SeedSequence([seed, episode]).generate_state(1)[0] >> 1
    with contextlib.suppress(NotImplementedError):
        env.seed(int(episode_seed))
