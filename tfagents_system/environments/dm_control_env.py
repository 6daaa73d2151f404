"""A dm_control (or other dm_env) environment as a TF-Agents PyEnvironment."""

from __future__ import annotations

import math
from typing import Any

from tf_agents.environments import dm_control_wrapper, py_environment, wrappers

from tfagents_system.environments import extras

#: Height and width of the frames, pixels.
FRAME_SHAPE = (480, 640)


class DmControlEnv(dm_control_wrapper.DmControlWrapper):
    """TF-Agents' wrapper, with what it lacks.

    The discounts are the environment's own: dm_control's is 1 at a time limit.
    """

    @property
    def metadata(self) -> dict[str, Any]:
        """Has `render_fps`, frames a second that show it at its own speed."""
        timestep = getattr(self._env, "control_timestep", None)
        return {"render_fps": round(1 / timestep())} if timestep else {}

    def get_info(self) -> dict[str, Any]:
        """Returns nothing: dm_env has no info."""
        return {}

    def seed(self, seed: int | None) -> None:
        """Cannot seed.

        Raises:
          NotImplementedError: dm_env takes a seed when it is made only.
        """
        raise NotImplementedError("a dm_env environment is seeded when it is made")

    def render(self, mode: str = "rgb_array") -> Any:
        """Renders a frame with the first camera of the model.

        Args:
          mode: Only `rgb_array`.

        Returns:
          uint8 of shape (height, width, 3).

        Raises:
          NotImplementedError: The environment has no MuJoCo physics.
        """
        physics = getattr(self._env, "physics", None)
        if physics is None or mode != "rgb_array":
            raise NotImplementedError("no rendering without MuJoCo physics")
        # -1 is a free camera, which can look anywhere.
        camera = 0 if physics.model.ncam else -1
        return physics.render(*FRAME_SHAPE, camera_id=camera)


def step_limit(env: Any) -> int | None:
    """Returns the time limit of a dm_control environment in env steps."""
    limit = vars(env).get("_step_limit", math.inf)
    return math.ceil(limit) if math.isfinite(limit) else None


def names() -> list[str]:
    """Returns `domain-task` of each task; none where dm_control is not installed."""
    try:
        from dm_control import suite
    except ImportError:
        return []
    return ["-".join(pair) for pair in suite.ALL_TASKS]


def load(
    name: str, seed: int | None, max_episode_steps: int | None, kwargs: dict[str, Any]
) -> py_environment.PyEnvironment:
    """Makes a task of the control suite.

    Args:
      name: `domain-task`.
      seed: Of the task's initial states.
      max_episode_steps: Time limit in env steps; None: the task's own.
      kwargs: For `suite.load`, such as `task_kwargs`.

    Returns:
      The environment; observations are a dictionary.

    Raises:
      UserError: dm_control is missing.
      UnknownName: There is no such task.
    """
    extras.import_extra("dm_control", f"dm_control/{name}")
    extras.import_mujoco("dm_control", f"dm_control/{name}")
    if name not in names():
        raise extras.UnknownName(name)
    from dm_control import suite

    task_kwargs = {"random": seed, **kwargs.pop("task_kwargs", {})}
    if max_episode_steps is not None:
        # The suite's limits are in seconds, of which a task has an unknown number of
        # steps.
        task_kwargs["time_limit"] = math.inf
    env = DmControlEnv(
        suite.load(*name.split("-", 1), task_kwargs=task_kwargs, **kwargs)
    )
    if max_episode_steps is None:
        return env
    return wrappers.TimeLimit(env, max_episode_steps)
