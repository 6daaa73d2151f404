"""What lies within an environment's wrappers: a time limit, a `set_state`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Callable

from tf_agents.environments import gym_wrapper, py_environment, wrappers

from tfagents_system.environments import dm_control_env
from tfagents_system.errors import UserError

# These only pass the call on, or raise NotImplementedError.
_NOT_ITS_OWN = {
    py_environment.PyEnvironment.set_state,
    wrappers.PyEnvironmentBaseWrapper.set_state,
    gym_wrapper.GymWrapper.set_state,
}


def layers(env: object) -> Iterator[Any]:
    """Yields an environment, what it wraps, and so on to the innermost.

    Args:
      env: An environment of TF-Agents, gym, gymnasium or dm_env.
    """
    while env is not None:
        yield env
        # Not getattr: wrappers pass on what they lack to what they wrap.
        attributes = getattr(env, "__dict__", {})
        inside = (attributes.get(name) for name in ("_env", "_gym_env", "env"))
        env = next((part for part in inside if hasattr(part, "reset")), None)


def time_limit(env: object) -> int | None:
    """Returns an environment's own time limit.

    Args:
      env: An environment of TF-Agents, gym, gymnasium or dm_env.

    Returns:
      Env steps of its longest episode: the smallest limit of its wrappers, or what
      it is registered with if none of them has one; None: it does not say.
    """
    limits: list[int] = []
    registered: list[int] = []
    for layer in layers(env):
        attributes = getattr(layer, "__dict__", {})
        found = [attributes.get("_max_episode_steps"), dm_control_env.step_limit(layer)]
        if isinstance(layer, wrappers.TimeLimit):
            found.append(layer.duration)
        limits += [limit for limit in found if isinstance(limit, int)]
        limit = getattr(attributes.get("spec"), "max_episode_steps", None)
        registered += [limit] if isinstance(limit, int) else []
    return min(limits or registered, default=None)


def _takes_one_dict(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind({})
    except TypeError:
        return False
    except ValueError:  # Written in C: its arguments are not known.
        return True
    return True


def find_set_state(env: object) -> Callable[[dict[str, Any]], Any]:
    """Finds the `set_state(state)` that the user defined.

    The outermost one, so that a wrapper can change what goes on to the environment.
    Methods that do not take one dictionary, such as
    `set_state(qpos, qvel)` of gymnasium's MuJoCo environments, do not count.

    Args:
      env: An environment of TF-Agents, gym, gymnasium or dm_env.

    Returns:
      The method.

    Raises:
      UserError: No layer has one.
    """
    names = []
    for layer in layers(env):
        names.append(type(layer).__name__)
        static = inspect.getattr_static(layer, "set_state", None)
        if static is None or static in _NOT_ITS_OWN:
            continue
        method: Callable[[dict[str, Any]], Any] = layer.set_state
        if _takes_one_dict(method):
            return method
    raise UserError(
        f"the environment has no set_state(state) that takes one dictionary; define "
        f"it in {names[-1]} or in a wrapper of it (looked in {', '.join(names)})"
    )
