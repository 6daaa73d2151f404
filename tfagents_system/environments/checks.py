"""Checks of one environment before training: spaces, a reset, a step, `set_state`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec

from tfagents_system.errors import UserError
from tfagents_system.settings import curriculum


def check_environment(
    env: py_environment.PyEnvironment, env_config: Mapping[str, Any]
) -> None:
    """Checks that an environment can be trained in.

    Args:
      env: The environment, standardized.
      env_config: The JSON, with or without a curriculum.

    Raises:
      UserError: What is wrong with it.
    """
    check_spaces(env)
    _check_curriculum(env, env_config)
    rng = np.random.default_rng(0)
    action = array_spec.sample_spec_nest(
        env.action_spec(), np.random.RandomState(rng.integers(2**31))
    )
    for name, time_step in (("reset", env.reset()), ("step", env.step(action))):
        if not array_spec.check_arrays_nest(
            time_step.observation, env.observation_spec()
        ):
            raise UserError(
                f"the observation of env.{name}() does not fit observation_spec(): "
                f"got {describe_arrays(time_step.observation)}, the spec is "
                f"{env.observation_spec()}"
            )


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
    # The spec has turned infinite bounds into the largest float already, and the
    # difference of larger ones than half of it is infinite.
    limit = np.finfo(np.float32).max / 2
    if np.any(action.minimum < -limit) or np.any(action.maximum > limit):
        raise UserError(
            f"the action bounds must be finite and at most {limit:.1e}, got {action}; "
            "squashed actions are scaled to them"
        )
    if np.any(action.minimum >= action.maximum):
        raise UserError(f"each action's minimum must be below its maximum: {action}")


def _check_curriculum(
    env: py_environment.PyEnvironment, env_config: Mapping[str, Any]
) -> None:
    """Sets the first values of the curriculum, if there is one."""
    schedules = curriculum.make_schedules(env_config)
    if not schedules:
        return
    values = {name: schedule.values[0] for name, schedule in schedules.items()}
    try:
        env.set_state(values)
    except UserError as error:
        raise UserError(
            f"the config has a curriculum of {', '.join(schedules)}, but {error}"
        ) from error
    except (NotImplementedError, AttributeError) as error:
        raise UserError(
            f"the config has a curriculum of {', '.join(schedules)}, but the "
            "environment has no set_state(dict) that takes it: "
            f"{type(error).__name__}: {error}"
        ) from error


def describe_arrays(nest: Any) -> Any:
    """Returns dtype, shape and range of each array of a nest, for messages."""

    def describe(array: Any) -> str:
        array = np.asarray(array)
        return f"{array.dtype}{list(array.shape)} in [{array.min()}, {array.max()}]"

    return tf.nest.map_structure(describe, nest)
