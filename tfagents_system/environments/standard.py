"""What the framework adds around every environment, and how it builds them.

The archived system fed the environment's time steps to the agent as they came, and
with gym 0.23 each episode cut by a time limit was stored as a true terminal.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from tf_agents.environments import py_environment, wrappers
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.environments import layers, loaders
from tfagents_system.errors import UserError
from tfagents_system.settings.configuration import call_hook
from tfagents_system.train_params_base import TrainParamsBase


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
    - What is not finite, or of another shape than the spec says, is refused: one NaN
      in the replay would be in every network soon.
    - A reset that ends an episode and a step that begins one are refused: no
      transition could be made of them, and a worker would never get on.
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
          UserError: There is none that takes one dictionary.
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
                self._refuse("a first time step in the midst of an episode")
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
        """Refuses what would damage the training.

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
            self._refuse(f"the reward {reward}, which is no finite number")
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


def _call_env_ctor(
    params: TrainParamsBase, args: tuple[Any, ...], kwargs: dict[str, Any], seed: int
) -> object:
    """Calls `env_ctor` in the way its signature wants the seed.

    Params files of the archived system take it as the first positional argument, as
    a keyword, or not at all.
    """
    parameters = inspect.signature(params.env_ctor).parameters
    names = list(parameters)
    if names and names[0] == "seed":
        return params.env_ctor(seed, *args, **kwargs)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_any or "seed" in parameters:
        kwargs = {**kwargs, "seed": seed}
    return params.env_ctor(*args, **kwargs)


def _wrap(made: object, seed: int) -> py_environment.PyEnvironment:
    env = loaders.wrap(made, seed=seed)
    if env.batched:
        raise UserError("env_ctor must return one environment, not a batch of them")
    return env


def _standardize(
    env: py_environment.PyEnvironment, params: TrainParamsBase
) -> py_environment.PyEnvironment:
    return StandardEnvironment(env, params.env_config["horizon"])


def make_user_env(
    params: TrainParamsBase, worker: int, seed: int
) -> py_environment.PyEnvironment:
    """Builds the environment that a worker collects in, as the user's code makes it.

    Args:
      params: The user's `TrainParams`; its JSON need not have a horizon.
      worker: The worker's number.
      seed: Seed of the environment.

    Returns:
      What `env_ctor` returned, as a PyEnvironment.

    Raises:
      UserError: `env_ctor` did not return one environment.
    """
    args, kwargs = call_hook(params.collect_env_args_kwargs, id=worker)
    return _wrap(_call_env_ctor(params, args, kwargs, seed), seed)


def make_collect_env(
    params: TrainParamsBase, worker: int, seed: int
) -> py_environment.PyEnvironment:
    """Builds the environment that a worker collects in.

    Args:
      params: The user's `TrainParams`.
      worker: The worker's number.
      seed: Seed of the environment.

    Returns:
      The user's environment: float32, ending at `horizon` at the latest.

    Raises:
      UserError: `env_ctor` did not return one environment.
    """
    return _standardize(make_user_env(params, worker, seed), params)


def make_eval_env(
    params: TrainParamsBase,
    worker: int,
    seed: int,
    collect_env: py_environment.PyEnvironment | None = None,
) -> py_environment.PyEnvironment:
    """Builds the environment that a worker evaluates in.

    Args:
      params: The user's `TrainParams`.
      worker: The worker's number.
      seed: Seed of the environment.
      collect_env: Its environment to collect in, offered to the user's hook without
        the framework's wrappers; None: made if the hook takes it.

    Returns:
      As `make_collect_env`.
    """
    hook = params.eval_env_args_kwargs
    overridden = type(params).eval_env_args_kwargs is not (
        TrainParamsBase.eval_env_args_kwargs
    )
    parameters = inspect.signature(hook).parameters.values()
    takes_it = overridden and any(
        p.name == "collect_env" or p.kind is p.VAR_KEYWORD for p in parameters
    )
    if collect_env is None and takes_it:
        collect_env = make_collect_env(params, worker, seed)
    args, kwargs = call_hook(
        hook,
        id=worker,
        collect_env=None if collect_env is None else unwrap(collect_env),
    )
    made = _call_env_ctor(params, args, kwargs, seed)
    return _standardize(_wrap(made, seed), params)


def unwrap(env: py_environment.PyEnvironment) -> py_environment.PyEnvironment:
    """Returns what the user's `env_ctor` returned, as a PyEnvironment."""
    return env.wrapped_env()


def sample_action(
    env: py_environment.PyEnvironment, generator: np.random.Generator
) -> Any:
    """Returns an action, uniform within the bounds."""
    return tf.nest.map_structure(
        lambda spec: generator.uniform(spec.minimum, spec.maximum, spec.shape).astype(
            spec.dtype
        ),
        env.action_spec(),
    )


def seed_episode(env: py_environment.PyEnvironment, seed: int, episode: int) -> None:
    """Seeds an episode, so that a resumed training meets it as it would have been.

    Args:
      env: The environment; one that cannot be seeded stays as it is.
      seed: Of the training.
      episode: Number of the episode.
    """
    episode_seed = np.random.SeedSequence([seed, episode]).generate_state(1)[0] >> 1
    with contextlib.suppress(NotImplementedError):
        env.seed(int(episode_seed))


def check_spaces(env: py_environment.PyEnvironment) -> None:
    """Checks that SAC can act in an environment.

    Raises:
      UserError: The action is not one bounded float vector, or its bounds are not
        finite.
    """
    actions = tf.nest.flatten(env.action_spec())
    if len(actions) != 1:
        raise UserError(f"SAC needs one action array, the environment has {actions}")
    action = actions[0]
    if action.dtype != np.float32 or not isinstance(
        action, array_spec.BoundedArraySpec
    ):
        raise UserError(f"SAC needs continuous bounded actions, got {action}")
    # The spec has turned infinite bounds into the largest float already.
    largest = np.finfo(np.float32).max
    if np.any(action.minimum <= -largest) or np.any(action.maximum >= largest):
        raise UserError(
            f"the action bounds must be finite, got {action}; squashed actions are "
            "scaled to them"
        )
    if np.any(action.minimum >= action.maximum):
        raise UserError(f"each action's minimum must be below its maximum: {action}")
