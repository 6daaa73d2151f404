"""Policies without learning, to compare with: they act on what a learned one sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import numpy as np
from numpy.typing import NDArray
from tf_agents.trajectories import time_step as ts

from tfagents_system.algorithm.packed_variables import PackedVariables
from tfagents_system.environments.contact_insert import command, rotations
from tfagents_system.environments.contact_insert.command import Command
from tfagents_system.environments.contact_insert.environment import OBSERVATION_SCALE
from tfagents_system.environments.contact_insert.rotations import ZERO, Vector

#: How far the goal is ahead of the hand, m: straight down, and of the seeker down and
#: sideways on each axis.
DOWN_OFFSET = 0.010
SEEK_DOWN_OFFSET = 0.020
SEEK_SIDEWAYS_OFFSET = 0.025
#: Distance to the believed target from which the seeker goes down, m and rad.
SEEK_TOLERANCE = 0.005
SEEK_ANGLE = 0.02

#: From the errors of position and rotation to a command.
Script = Callable[[Vector, Vector], Command]


def _command(offset: Vector, rotation: Vector) -> Command:
    """Returns the command that moves the goal by an offset in m and rad."""
    return Command(
        rotations.scale(offset, 1 / command.TRANSLATION_SCALE),
        rotations.scale(rotation, 1 / command.ROTATION_SCALE),
    )


def stay_on_base_motion(position_error: Vector, rotation_error: Vector) -> Command:
    """Adds nothing to the base motion."""
    return command.base_motion(position_error, rotation_error)


def go_down(position_error: Vector, rotation_error: Vector) -> Command:
    """Goes straight down, wherever the target is."""
    return _command((0.0, 0.0, -DOWN_OFFSET), ZERO)


class Seek:
    """Goes above the believed target, then down, towards it all the time."""

    def __init__(self) -> None:
        """Begins an episode."""
        self._goes_down = False

    def __call__(self, position_error: Vector, rotation_error: Vector) -> Command:
        """Returns the command."""
        x, y, _ = position_error
        if (
            max(abs(x), abs(y)) < SEEK_TOLERANCE
            and rotations.norm(rotation_error) < SEEK_ANGLE
        ):
            self._goes_down = True
        x, y = (
            max(-SEEK_SIDEWAYS_OFFSET, min(SEEK_SIDEWAYS_OFFSET, part))
            for part in (x, y)
        )
        down = -SEEK_DOWN_OFFSET if self._goes_down else 0.0
        turn = rotations.clip_norm(rotation_error, command.ROTATION_SCALE)
        return _command((x, y, down), turn)


#: The scripts by their names: each call begins an episode.
SCRIPTS: dict[str, Callable[[], Script]] = {
    "zero": lambda: stay_on_base_motion,
    "down": lambda: go_down,
    "seek": Seek,
}


class ScriptedPolicy:
    """A script as a `Policy` of `acting.policies`."""

    weights: PackedVariables | None = None

    def __init__(self, name: str, is_scaled: bool) -> None:
        """Begins an episode.

        Args:
          name: Of SCRIPTS.
          is_scaled: Whether observations are divided by `OBSERVATION_SCALE`.
        """
        self._make_script = SCRIPTS[name]
        self._script = self._make_script()
        size = len(OBSERVATION_SCALE)
        self._scale = np.array(OBSERVATION_SCALE) if is_scaled else np.ones(size)

    def reset(self) -> None:
        """Begins an episode."""
        self._script = self._make_script()

    def refresh(self, packed: NDArray[np.uint8] | None = None) -> None:
        """Does nothing: a script has no weights."""

    def act(self, time_step: ts.TimeStep) -> NDArray[np.float32]:
        """Returns the action of shape (6,)."""
        row = time_step.observation["obs"][-1][: len(self._scale)] * self._scale
        position_error, rotation_error = _vector(row[6:9]), _vector(row[9:12])
        wanted = self._script(position_error, rotation_error)
        base = command.base_motion(position_error, rotation_error)
        return np.array(command.action_for(base, wanted), np.float32)


def _vector(array: Sequence[float]) -> Vector:
    x, y, z = (float(number) for number in array)
    return x, y, z
