"""From an action to a command: a residual on straight-line motion to the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tfagents_system.environments.contact_insert import rotations
from tfagents_system.environments.contact_insert.rotations import Vector

#: Longest translation, in m of distance to the target, and rotation, rad, of the base
#: motion, which takes half of the command.
MAX_BASE_TRANSLATION = 0.25
MAX_BASE_ROTATION = math.radians(22.5)
#: What an action of 1 adds on an axis.
RESIDUAL_TRANSLATION = 0.25
RESIDUAL_ROTATION = 0.5 * math.sqrt(3) * math.radians(45)
#: What a command of 1 on an axis moves the goal away from the hand, m and rad.
TRANSLATION_SCALE = 0.05
ROTATION_SCALE = 0.5


class Command(NamedTuple):
    """A command, within [-1, 1] on each axis.

    Attributes:
      translation: Along the world's axes.
      rotation: Axis times angle, in the world's axes.
    """

    translation: Vector
    rotation: Vector

    @property
    def offset(self) -> Vector:
        """The translation of the goal, m."""
        return rotations.scale(self.translation, TRANSLATION_SCALE)

    @property
    def turn(self) -> Vector:
        """The rotation of the goal, rad."""
        return rotations.scale(self.rotation, ROTATION_SCALE)


def base_motion(position_error: Vector, rotation_error: Vector) -> Command:
    """Returns the command without an action: straight to the target, slower and slower.

    Args:
      position_error: From the hand to the target, m.
      rotation_error: The same, rad.
    """
    return Command(
        rotations.clip_norm(position_error, MAX_BASE_TRANSLATION),
        rotations.clip_norm(rotation_error, MAX_BASE_ROTATION),
    )


def compose(base: Command, action: Sequence[float]) -> Command:
    """Adds an action to the base motion.

    Args:
      base: From `base_motion`.
      action: Translation, then rotation, each of three numbers in [-1, 1].
    """
    x, y, z, rx, ry, rz = action
    residual = rotations.scale((rx, ry, rz), RESIDUAL_ROTATION)
    rotation = rotations.to_vector(
        rotations.multiply(
            rotations.from_vector(residual), rotations.from_vector(base.rotation)
        )
    )
    translation = rotations.add(
        base.translation, rotations.scale((x, y, z), RESIDUAL_TRANSLATION)
    )
    return Command(_clip(translation), _clip(rotation))


def action_for(base: Command, wanted: Command) -> list[float]:
    """Returns the action whose command is the wanted one, as far as actions reach.

    Args:
      base: From `base_motion`.
      wanted: The command.
    """
    translation = rotations.scale(
        rotations.subtract(wanted.translation, base.translation),
        1 / RESIDUAL_TRANSLATION,
    )
    rotation = rotations.difference(
        rotations.from_vector(wanted.rotation), rotations.from_vector(base.rotation)
    )
    rotation = rotations.scale(rotation, 1 / RESIDUAL_ROTATION)
    return [*_clip(translation), *_clip(rotation)]


def _clip(vector: Vector) -> Vector:
    x, y, z = (max(-1.0, min(1.0, part)) for part in vector)
    return x, y, z
