"""Sizes of plate, table and dish holder, and where the plate is to go.

World axes: x along the slots, y across them, z up. Lengths are in m. The hand's own
point is where the fingers hold the plate; its orientation is the identity where it
points straight down with the plate along x.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tfagents_system.environments.contact_insert import rotations
from tfagents_system.environments.contact_insert.rotations import Pose, Vector

PLATE_RADIUS = 0.1566
PLATE_THICKNESS = 0.0275
PLATE_MASS_KG = 0.33
#: From the hand's point to the plate's centre, in the hand's axes.
PLATE_IN_HAND: Vector = (0.0, 0.0, -0.1266)

TABLE_TOP = 0.9
TABLE_HALF_EXTENTS: Vector = (0.4, 0.4, 0.025)

HOLDER_HALF_LENGTH = 0.15
HOLDER_BASE_HEIGHT = 0.02
#: Of the base, beyond the outer walls.
HOLDER_MARGIN = 0.06
#: From the base to the rim of a plate at the goal; at 0 it would rest there.
GOAL_CLEARANCE = 0.02
#: How far the plate's centre may be from the middle along the slot, and above the goal.
GOAL_HALF_LENGTH = 0.05
GOAL_MARGIN = 0.02

FRICTION = 0.95
TABLE_FRICTION = 1.0
GRAVITY = 9.81


class HolderSizes(Protocol):
    """What the settings say of the holder."""

    @property
    def num_slots(self) -> int:
        """Number of slots, odd."""

    @property
    def slot_gap(self) -> float:
        """Width of a slot."""

    @property
    def slot_wall(self) -> float:
        """Thickness of a wall."""

    @property
    def slot_height(self) -> float:
        """Height of a wall."""


class Box(NamedTuple):
    """A box in the holder's axes, whose origin is the middle of its bottom."""

    half_extents: Vector
    center: Vector


class Holder:
    """The dish holder.

    Attributes:
      boxes: The base and the walls.
      pitch: From a slot to the next.
      goal_height: Of the plate's centre above the bottom, when it is at the goal.
    """

    def __init__(self, sizes: HolderSizes) -> None:
        """Places base and walls."""
        self.pitch = sizes.slot_gap + sizes.slot_wall
        self.goal_height = PLATE_RADIUS + HOLDER_BASE_HEIGHT + GOAL_CLEARANCE
        half_width = (sizes.num_slots * self.pitch + sizes.slot_wall) / 2
        self.boxes = [
            Box(
                (
                    HOLDER_HALF_LENGTH,
                    half_width + HOLDER_MARGIN,
                    HOLDER_BASE_HEIGHT / 2,
                ),
                (0.0, 0.0, HOLDER_BASE_HEIGHT / 2),
            )
        ]
        half_wall = (HOLDER_HALF_LENGTH, sizes.slot_wall / 2, sizes.slot_height / 2)
        for index in range(sizes.num_slots + 1):
            y = (index - sizes.num_slots / 2) * self.pitch
            z = HOLDER_BASE_HEIGHT + sizes.slot_height / 2
            self.boxes.append(Box(half_wall, (0.0, y, z)))
        self._half_slots = sizes.num_slots / 2

    def pose(self, x: float, y: float, yaw: float) -> Pose:
        """Returns the pose of a holder on the table."""
        return Pose((x, y, TABLE_TOP), rotations.from_yaw(yaw))

    def target(self, holder: Pose) -> Pose:
        """Returns the pose of the hand that has the plate at the goal.

        Args:
          holder: Pose of the holder.
        """
        x, y, z = holder.position
        hand = (x, y, z + self.goal_height - PLATE_IN_HAND[2])
        return Pose(hand, holder.orientation)

    def slot(self, holder: Pose, plate: Vector) -> int | None:
        """Returns the slot that the plate is in.

        Args:
          holder: Pose of the holder.
          plate: Position of the plate's centre.

        Returns:
          0 for the middle slot, 1 for the next in the holder's y, and so on; None
          where it is not in the goal region.
        """
        offset = rotations.subtract(plate, holder.position)
        x, y, z = rotations.rotate(rotations.inverse(holder.orientation), offset)
        if (
            abs(x) > GOAL_HALF_LENGTH
            or abs(y) > self._half_slots * self.pitch
            or z > self.goal_height + GOAL_MARGIN
        ):
            return None
        outermost = int(self._half_slots)
        return max(-outermost, min(outermost, round(y / self.pitch)))


def plate_center(hand: Pose) -> Vector:
    """Returns the centre of a plate held by a hand."""
    return rotations.add(
        hand.position, rotations.rotate(hand.orientation, PLATE_IN_HAND)
    )
