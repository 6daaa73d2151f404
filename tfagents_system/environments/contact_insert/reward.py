"""The reward of an env step, and when an episode is over."""

from __future__ import annotations

import enum
import math

from tfagents_system.environments.contact_insert import rotations
from tfagents_system.environments.contact_insert.command import Command

DROP_REWARD = -1.1
GOAL_REWARD = 0.5
#: Factor on the goal's reward for each slot away from the middle.
SLOT_FACTOR = 0.5
#: Where the terms of distance and of the command's change reach their largest, m (or
#: parts of a command) and rad.
MAX_POSITION = 0.5
MAX_ROTATION = math.radians(30)
#: What such a term may cost in an episode, as part of a drop.
TERM_SHARE = 0.5
#: Env steps of too much force that end an episode.
OVERLOAD_STEPS = 5


class EndReason(enum.IntEnum):
    """Why an episode ended; the archived system's numbers."""

    RUNNING = -1
    OVERLOAD = 0
    TIME_OUT = 1
    GOAL = 2


def distance_cost(position: float, rotation: float, horizon: int) -> float:
    """Returns the cost of being away from the target, or of changing the command.

    Args:
      position: Length of the translation.
      rotation: Angle of the rotation, rad.
      horizon: Env steps over which a term costs at most half of a drop.
    """
    parts = min(position / MAX_POSITION, 1) + min(rotation / MAX_ROTATION, 1)
    return -TERM_SHARE * DROP_REWARD / horizon * parts


def change_cost(command: Command, previous: Command, horizon: int) -> float:
    """Returns the cost of commanding something else than in the env step before."""
    return distance_cost(
        rotations.norm(rotations.subtract(command.translation, previous.translation)),
        rotations.norm(rotations.subtract(command.rotation, previous.rotation)),
        horizon,
    )


def end_reward(reason: EndReason, slot: int | None) -> float:
    """Returns what the end of an episode adds.

    Args:
      reason: Why it ended.
      slot: Slots away from the middle, signed, at the goal.
    """
    if reason == EndReason.OVERLOAD:
        return DROP_REWARD
    if reason == EndReason.GOAL and slot is not None:
        return GOAL_REWARD * SLOT_FACTOR ** abs(slot)
    return 0.0


class Referee:
    """Says when an episode is over."""

    def __init__(self, horizon: int, force_limit: float) -> None:
        """Begins an episode.

        Args:
          horizon: Env steps of the longest episode.
          force_limit: Largest force at the hand, N.
        """
        self._horizon, self._force_limit = horizon, force_limit
        self._num_steps = self._steps_in_goal = self._steps_overloaded = 0

    def judge(self, slot: int | None, force: float, goalreach_steps: int) -> EndReason:
        """Judges an env step.

        Args:
          slot: Where the plate is in the goal region, or None.
          force: At the hand, N.
          goalreach_steps: Consecutive env steps in the goal region that are a success.
        """
        self._num_steps += 1
        self._steps_in_goal = 0 if slot is None else self._steps_in_goal + 1
        overloaded = force > self._force_limit
        self._steps_overloaded = self._steps_overloaded + 1 if overloaded else 0
        if self._steps_overloaded >= OVERLOAD_STEPS:
            return EndReason.OVERLOAD
        if self._steps_in_goal >= goalreach_steps:
            return EndReason.GOAL
        if self._num_steps >= self._horizon:
            return EndReason.TIME_OUT
        return EndReason.RUNNING
