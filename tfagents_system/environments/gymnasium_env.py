"""A gymnasium environment as a TF-Agents PyEnvironment.

TF-Agents 0.19 wraps gym 0.23 only: four values a step, and spaces of gym's classes.
"""

from __future__ import annotations

import collections
import re
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.environments import extras
from tfagents_system.errors import UserError

if TYPE_CHECKING:
    import gymnasium


def _simplest(low: Any, high: Any) -> tuple[Any, Any]:
    """Returns one number for each bound if all elements have the same.

    Bounds are printed in messages, and those of a picture are long.
    """
    if low.size and (low == low.flat[0]).all() and (high == high.flat[0]).all():
        return low.flat[0], high.flat[0]
    return low, high


def _box_spec(space: Any, name: str) -> array_spec.BoundedArraySpec:
    low, high = _simplest(space.low, space.high)
    return array_spec.BoundedArraySpec(space.shape, space.dtype, low, high, name)


def _integers_spec(space: Any, name: str) -> array_spec.BoundedArraySpec:
    """Returns the spec of Discrete or MultiDiscrete, whose `start` may be missing."""
    start = np.asarray(getattr(space, "start", 0))
    count = np.asarray(getattr(space, "nvec", getattr(space, "n", None)))
    return array_spec.BoundedArraySpec(
        space.shape, space.dtype, start, start + count - 1, name
    )


def _bits_spec(space: Any, name: str) -> array_spec.BoundedArraySpec:
    return array_spec.BoundedArraySpec(space.shape, space.dtype, 0, 1, name)


_LEAF_SPECS: dict[str, Callable[[Any, str], array_spec.BoundedArraySpec]] = {
    "Box": _box_spec,
    "Discrete": _integers_spec,
    "MultiDiscrete": _integers_spec,
    "MultiBinary": _bits_spec,
}


def spec_from_space(space: gymnasium.Space[Any], name: str) -> Any:
    """Converts a gymnasium space into array specs.

    Args:
      space: Box, Discrete, MultiDiscrete, MultiBinary, or Dict and Tuple of such.
      name: Name of the spec; parts of a Dict or Tuple get `name/part`.

    Returns:
      A BoundedArraySpec of the space's dtype, or for a Dict an OrderedDict in the
      space's order, for a Tuple a tuple of them.

    Raises:
      UserError: A space of another kind, which has no fixed shape.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return collections.OrderedDict(
            (key, spec_from_space(part, f"{name}/{key}"))
            for key, part in space.spaces.items()
        )
    if isinstance(space, spaces.Tuple):
        return tuple(
            spec_from_space(part, f"{name}/tuple_{i}")
            for i, part in enumerate(space.spaces)
        )
    for kind in type(space).__mro__:
        if kind.__name__ in _LEAF_SPECS:
            return _LEAF_SPECS[kind.__name__](space, name)
    raise UserError(
        f"the {name} space {space} cannot be used; give a Box, Discrete, "
        "MultiDiscrete, MultiBinary, or a Dict or Tuple of them"
    )


def _as_specified(spec: Any, value: Any) -> Any:
    """Returns a value in the spec's structure, order and dtypes, as copies.

    Some environments return the array that they go on changing.
    """
    if isinstance(spec, dict):
        return collections.OrderedDict(
            (key, _as_specified(part, value[key])) for key, part in spec.items()
        )
    if isinstance(spec, tuple):
        return tuple(_as_specified(*pair) for pair in zip(spec, value))
    return np.array(value, spec.dtype)


class GymnasiumEnv(py_environment.PyEnvironment):
    """One gymnasium environment.

    `terminated` ends an episode with discount 0; `truncated` alone ends it with
    discount 1, so that the critic bootstraps.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], seed: int | None = None) -> None:
        """Wraps an environment.

        Args:
          env: The environment.
          seed: Given to the first reset; later episodes go on from there. None: the
            environment's own choice.
        """
        super().__init__(handle_auto_reset=True)
        self._env = env
        self._seed = seed
        self._info: dict[str, Any] = {}
        self._observation_spec = spec_from_space(env.observation_space, "observation")
        self._action_spec = spec_from_space(env.action_space, "action")
        self._has_discrete_action = type(env.action_space).__name__ == "Discrete"

    def __getattr__(self, name: str) -> Any:
        """Returns an attribute of the environment or of a wrapper around it."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self._env.get_wrapper_attr(name)

    @property
    def gymnasium(self) -> gymnasium.Env[Any, Any]:
        """The environment that is wrapped."""
        return self._env

    @property
    def metadata(self) -> dict[str, Any]:
        """The environment's, with its `render_fps` if it has one."""
        metadata: dict[str, Any] = self._env.metadata
        return metadata

    def observation_spec(self) -> Any:
        """Returns the spec of the observation space."""
        return self._observation_spec

    def action_spec(self) -> Any:
        """Returns the spec of the action space."""
        return self._action_spec

    def get_info(self) -> dict[str, Any]:
        """Returns the info of the last reset or step."""
        return self._info

    def seed(self, seed: int | None) -> None:
        """Seeds the next reset."""
        self._seed = seed

    def render(self, mode: str = "rgb_array") -> Any:
        """Renders a frame.

        Args:
          mode: Only `rgb_array`.

        Returns:
          uint8 of shape (height, width, 3).

        Raises:
          UserError: The environment was made for something else.
        """
        if mode != "rgb_array" or self._env.render_mode != "rgb_array":
            raise UserError(
                f"the gymnasium environment {self._env.unwrapped} has render_mode "
                f"{self._env.render_mode!r}; make it with render_mode='rgb_array'"
            )
        return self._env.render()

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()

    def _reset(self) -> ts.TimeStep:
        seed, self._seed = self._seed, None
        observation, self._info = self._env.reset(seed=seed)
        return ts.restart(_as_specified(self._observation_spec, observation))

    def _step(self, action: Any) -> ts.TimeStep:
        if self._has_discrete_action:
            action = int(action)  # Some use it as a key, and no array is one.
        observation, reward, terminated, truncated, self._info = self._env.step(action)
        observation = _as_specified(self._observation_spec, observation)
        if terminated:
            return ts.termination(observation, reward)
        if truncated:
            return ts.truncation(observation, reward)
        return ts.transition(observation, reward)


def ids() -> list[str]:
    """Returns the registered ids; none where gymnasium is not installed."""
    try:
        import gymnasium
    except ImportError:
        return []
    return list(gymnasium.registry)


def load(
    name: str, seed: int | None, max_episode_steps: int | None, kwargs: dict[str, Any]
) -> py_environment.PyEnvironment:
    """Makes a registered environment that renders frames.

    Args:
      name: The id.
      seed: For the first reset.
      max_episode_steps: Time limit in env steps; None: the registered one.
      kwargs: For the environment's constructor.

    Returns:
      The environment.

    Raises:
      UserError: A package that the environment needs is missing.
      UnknownName: There is no such id.
    """
    gymnasium = extras.import_extra("gymnasium", name)
    spec = gymnasium.registry.get(name)
    if spec is None:
        raise extras.UnknownName(name)
    if "mujoco" in str(spec.entry_point):
        extras.import_mujoco("gymnasium", name)
    try:
        creator = spec.entry_point
        if not callable(creator):
            creator = gymnasium.envs.registration.load_env_creator(creator)
        modes = getattr(creator, "metadata", {}).get("render_modes", [])
        if "rgb_array" in modes:
            kwargs = {"render_mode": "rgb_array", **kwargs}
        env = gymnasium.make(
            spec,
            max_episode_steps=max_episode_steps,
            # Its warnings are about style; what matters is checked by prepare.
            disable_env_checker=True,
            **kwargs,
        )
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        raise _needs_package(name, error) from error
    return GymnasiumEnv(env, seed)


def _needs_package(name: str, error: Exception) -> UserError:
    """Finds out which packages an environment lacks besides MuJoCo."""
    message = str(error).partition("\n")[0]
    extra = re.search(r"gymnasium\[([\w-]+)\]", message)
    if extra:
        ours = extras.REQUIREMENTS["gymnasium"][0]
        return UserError(
            f"{name} needs packages that are not installed: "
            f"{extras.pip_command([ours.replace('mujoco', extra[1])])}"
        )
    return UserError(f"{name} cannot be made: {type(error).__name__}: {message}")
