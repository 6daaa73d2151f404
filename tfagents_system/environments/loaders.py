"""Environments by name, and from the objects of other libraries.

    env = loaders.load("HalfCheetah-v5", seed=3)
    env = loaders.wrap(MyGymnasiumEnv())

gymnasium and dm_control are optional: they are imported when a name needs them.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import random
import sys
from typing import Any, Callable

import gym
import numpy as np
from tf_agents.environments import py_environment, suite_gym

from tfagents_system.environments import dm_control_env, extras, gymnasium_env
from tfagents_system.errors import UserError

_Load = Callable[
    [str, "int | None", "int | None", "dict[str, Any]"], py_environment.PyEnvironment
]


def _is_instance(env: object, module: str, name: str) -> bool:
    """Returns whether an object is of a class in a module that may not be there.

    An object of it cannot exist before the module was imported.
    """
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(env, getattr(loaded, name))


def wrap(env: object, *, seed: int | None = None) -> py_environment.PyEnvironment:
    """Makes a PyEnvironment of an environment.

    Args:
      env: A PyEnvironment, which is returned as it is; or an object of gym 0.23 or
        gymnasium; or a dm_env environment, such as dm_control's.
      seed: Seeds an object of gym or gymnasium; None: it stays as it is.

    Returns:
      The environment. A time limit of gym's leaves the discount 0, as in TF-Agents,
      until `StandardEnvironment` corrects it.

    Raises:
      UserError: It is not a single environment.
    """
    if isinstance(env, py_environment.PyEnvironment):
        return env
    if isinstance(env, gym.Env) and not hasattr(env, "num_envs"):
        wrapped = suite_gym.wrap_env(env)
        if seed is not None:
            wrapped.seed(seed)
        return wrapped
    if _is_instance(env, "gymnasium", "Env"):
        return gymnasium_env.GymnasiumEnv(env, seed)
    if _is_instance(env, "dm_env", "Environment"):
        return dm_control_env.DmControlEnv(env)
    raise UserError(
        "env_ctor must return a tf_agents PyEnvironment, or one environment of gym, "
        f"gymnasium or dm_control, got {_describe(env)}"
    )


def _describe(env: object) -> str:
    if isinstance(env, type):
        return f"the class {env.__name__}: call it"
    return type(env).__name__


def load(
    name: str,
    *,
    seed: int | None = None,
    max_episode_steps: int | None = None,
    **kwargs: Any,
) -> py_environment.PyEnvironment:
    """Loads an environment by its name.

    Args:
      name: An id of gym 0.23 (`Pendulum-v1`), PyBullet (`MinitaurBulletEnv-v0`) or
        gymnasium (`HalfCheetah-v5`), looked up in this order; with `gym/` or
        `gymnasium/` before it, only there. Or `dm_control/<domain>-<task>`. An id
        that a module registers: `my_module:MyEnv-v0`.
      seed: Seed of the environment; None: its own choice. PyBullet's also seeds
        Python's and NumPy's global generators, which some of them draw from.
      max_episode_steps: Time limit in env steps; None: the environment's own.
      **kwargs: For the environment's constructor, or dm_control's `suite.load`.

    Returns:
      The environment; see `wrap` for its discount at a time limit.

    Raises:
      UserError: There is no such environment, or a package that it needs is missing.
    """
    if max_episode_steps is not None and max_episode_steps < 1:
        raise UserError(f"max_episode_steps must be 1 or more, got {max_episode_steps}")
    library, _, rest = name.partition("/")
    if library not in _LIBRARIES:
        library, rest = "", name
    module, _, env_id = rest.rpartition(":")
    if module:
        _import_registering_module(module, name)
    _refuse_mujoco_py(env_id)
    try:
        load_it = _LIBRARIES[library] if library else _find_library(env_id)
        return load_it(env_id, seed, max_episode_steps, kwargs)
    except extras.UnknownName:
        raise _unknown(name, env_id) from None


def _import_registering_module(module: str, name: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{name}: there is no module {error.name}; install it, or put it beside "
            "the params file"
        ) from error


def _gym_spec(env_id: str) -> Any:
    """Returns gym's registered spec, or None."""
    try:
        return gym.spec(env_id)
    except gym.error.Error:
        return None


def _is_mujoco_py(spec: Any) -> bool:
    """Returns whether an entry of gym's needs mujoco-py, which no longer works."""
    return str(spec.entry_point).startswith("gym.envs.mujoco")


def _refuse_mujoco_py(env_id: str) -> None:
    """Refuses gym's MuJoCo environments of versions 2 and 3.

    Raises:
      UserError: It is one; gymnasium has all of them as version 5.
    """
    spec = _gym_spec(env_id)
    if spec is not None and _is_mujoco_py(spec):
        raise UserError(
            f"{env_id} needs mujoco-py, which no longer works; use {spec.name}-v5, "
            "which is gymnasium's"
        )


def _is_mujoco(env_id: str) -> bool:
    """Returns whether gym knew the environment, in an older version, with mujoco-py."""
    name = env_id.rpartition("-v")[0]
    return any(
        spec.name == name and _is_mujoco_py(spec) for spec in gym.envs.registry.all()
    )


def _works(spec: Any) -> bool:
    """Returns whether the class of gym's spec can be imported."""
    if callable(spec.entry_point):
        return True
    try:
        gym.envs.registration.load(spec.entry_point)
    except (ImportError, AttributeError, gym.error.DependencyNotInstalled):
        return False
    return True


def _find_library(env_id: str) -> _Load:
    """Finds out who loads an id without a prefix."""
    spec = _gym_spec(env_id)
    if spec is None:
        importlib.import_module("pybullet_envs")  # Registers its ids with gym.
        spec = _gym_spec(env_id)
    if spec is not None and _works(spec):
        return _load_gym
    if not extras.is_installed("gymnasium") and not _is_mujoco(env_id):
        raise extras.UnknownName(env_id)
    return gymnasium_env.load


def _load_gym(
    env_id: str, seed: int | None, max_episode_steps: int | None, kwargs: dict[str, Any]
) -> py_environment.PyEnvironment:
    """Makes an environment that is registered with gym 0.23, PyBullet's among them.

    Raises:
      extras.UnknownName: There is no such id.
    """
    if _gym_spec(env_id) is None:
        importlib.import_module("pybullet_envs")
    spec = copy.deepcopy(_gym_spec(env_id))
    if spec is None:
        raise extras.UnknownName(env_id)
    if max_episode_steps is not None:
        # Not TF-Agents' argument of that name: gym's own limit would stay.
        spec.max_episode_steps = max_episode_steps
    if seed is not None and str(spec.entry_point).startswith("pybullet_envs"):
        # The Minitaur's masses and friction are drawn from the global generators.
        random.seed(seed)
        np.random.seed(seed % 2**32)
    return wrap(spec.make(**kwargs), seed=seed)


_LIBRARIES: dict[str, _Load] = {
    "dm_control": dm_control_env.load,
    "gym": _load_gym,
    "gymnasium": gymnasium_env.load,
}


def _unknown(name: str, env_id: str) -> UserError:
    """Returns the error for a name that no library has, with names like it."""
    importlib.import_module("pybullet_envs")
    specs = list(gym.envs.registry.all())
    known = {spec.id for spec in specs if not _is_mujoco_py(spec)}
    dead = {spec.id for spec in specs} - known
    known.update(env_id for env_id in gymnasium_env.ids() if env_id not in dead)
    known.update(f"dm_control/{task}" for task in dm_control_env.names())
    wanted = name if name.startswith("dm_control/") else env_id
    matches = difflib.get_close_matches(wanted, sorted(known), n=3)
    message = f"there is no environment {name}"
    if matches:
        message += f"; did you mean {' or '.join(matches)}?"
    if not extras.is_installed("gymnasium"):
        command = extras.pip_command(extras.REQUIREMENTS["gymnasium"])
        message += f"; gymnasium, which has more of them, is not installed: {command}"
    return UserError(message)
