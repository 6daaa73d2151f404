"""What is not known while inserting: where the target is, and when a command acts."""

from __future__ import annotations

import math

import numpy as np

from tfagents_system.environments.contact_insert import rotations
from tfagents_system.environments.contact_insert.rotations import Pose
from tfagents_system.environments.contact_insert.settings import MS_PER_SEC, Settings


def draw_holder_error(
    settings: Settings, noise_level: float, generator: np.random.Generator
) -> tuple[float, float, float]:
    """Draws how far the believed pose of the holder is from the true one.

    Args:
      settings: The largest errors.
      noise_level: Factor on them, in [0, 1]; it does not change what is drawn.
      generator: Draws.

    Returns:
      x and y in the holder's axes, m, and yaw, rad.
    """
    x, y, yaw = (generator.uniform(-1, 1, 3) * noise_level).tolist()
    return (
        x * settings.noise_xy,
        y * settings.noise_xy,
        yaw * math.radians(settings.noise_yaw_deg),
    )


def displace(target: Pose, error: tuple[float, float, float]) -> Pose:
    """Returns a pose displaced in its own axes.

    Args:
      target: The pose.
      error: x, y and yaw.
    """
    x, y, yaw = error
    offset = rotations.rotate(target.orientation, (x, y, 0.0))
    return Pose(
        rotations.add(target.position, offset),
        rotations.multiply(target.orientation, rotations.from_yaw(yaw)),
    )


def draw_lags(
    settings: Settings, sim_hz: int, generator: np.random.Generator
) -> list[int]:
    """Draws after how many physics steps each command of an episode takes effect.

    Args:
      settings: Range in ms and the number of env steps.
      sim_hz: Physics steps a second.
      generator: Draws.

    Returns:
      One number for each env step.
    """
    lags_ms = generator.integers(*settings.lag_ms, size=settings.horizon)
    return [round(ms * sim_hz / MS_PER_SEC) for ms in lags_ms.tolist()]
