"""Time limits of environments."""

from __future__ import annotations

from typing import Any


def time_limit(env: Any) -> int | None:
    """Returns the env steps after which an environment ends an episode, or None.

    Args:
      env: What `env_ctor` returned.

    Returns:
      The smallest limit of the wrappers around it; None if there is none.
    """
    limits = []
    while env is not None:
        fields = vars(env)
        for name in ("_duration", "_max_episode_steps"):
            if isinstance(fields.get(name), int):
                limits.append(fields[name])
        env = next(
            (fields[name] for name in ("_env", "_gym_env", "env") if name in fields),
            None,
        )
    return min(limits, default=None)
