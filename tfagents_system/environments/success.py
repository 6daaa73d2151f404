"""Whether an episode reached its goal, where the environment says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.trajectories import time_step as ts

# Stable-Baselines3 and gym's robotics, Meta-World and robosuite, the archived system.
NAMES = ("is_success", "success", "successful")


def read_success(
    env: py_environment.PyEnvironment, last_time_step: ts.TimeStep
) -> bool | None:
    """Reads the success flag at an episode's end.

    It is looked for in the info of the last step, then in the last observation and in
    its `aux`, by the names above.

    Args:
      env: The environment, after its last step.
      last_time_step: That step.

    Returns:
      Whether the episode was a success; None where the environment does not say.
    """
    try:
        info = env.get_info()
    except NotImplementedError:  # A PyEnvironment need not have any.
        info = None
    observation = last_time_step.observation
    aux = observation.get("aux") if isinstance(observation, Mapping) else None
    for source in (info, observation, aux):
        flag = _find(source)
        if flag is not None:
            return flag
    return None


def _find(source: Any) -> bool | None:
    if isinstance(source, Mapping):
        for name in NAMES:
            if name in source and np.size(source[name]) == 1:
                return bool(np.any(source[name]))
    return None
