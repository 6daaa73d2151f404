"""The law that both robots follow: a spring and a damper to a goal, and the wrench."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tfagents_system.environments.contact_insert import geometry, rotations
from tfagents_system.environments.contact_insert.rotations import Pose, Vector

#: Acceleration for each m, or rad, from the goal, 1/s2: an inertia makes a stiffness
#: of it. Damped critically.
STIFFNESS = 150.0
DAMPING = 2 * STIFFNESS**0.5


class Wrench(NamedTuple):
    """What the hand exerts on the plate, in world axes, about the hand's point.

    Attributes:
      force: N.
      torque: N m.
    """

    force: Vector
    torque: Vector


class Robot(Protocol):
    """A hand that holds the plate, on an arm or without."""

    def reset(self, holder: geometry.Holder, holder_pose: Pose, hand: Pose) -> None:
        """Rebuilds the world with the hand at a pose, at rest, its goal there."""

    def move_holder(self, pose: Pose) -> None:
        """Moves the holder."""

    def is_in_contact(self) -> bool:
        """Returns whether the plate touches the holder as they stand."""

    def set_goal(self, translation: Vector, rotation: Vector) -> None:
        """Sets the goal relative to where the hand is now, in world axes."""

    def run(self, num_substeps: int) -> None:
        """Simulates."""

    def read_wrench(self) -> Wrench:
        """Returns the mean wrench since this was last called."""

    def hand_pose(self) -> Pose:
        """Returns the pose of the hand."""

    def plate_position(self) -> Vector:
        """Returns the centre of the plate."""

    def joint_positions(self) -> list[float]:
        """Returns the arm's joint positions in rad, then the fingers' in m, if any."""

    def close(self) -> None:
        """Frees the simulator."""


def wrench_of_hand(
    contact: Wrench, acceleration: Vector, plate_offset: Vector
) -> Wrench:
    """Returns what the hand exerts on the plate, from what happens to the plate.

    Args:
      contact: What table and holder exert on it, about the hand's point.
      acceleration: Of the plate, m/s2.
      plate_offset: From the hand's point to the plate's centre.
    """
    x, y, z = acceleration
    own = rotations.scale((x, y, z + geometry.GRAVITY), geometry.PLATE_MASS_KG)
    return Wrench(
        rotations.subtract(own, contact.force),
        rotations.subtract(rotations.cross(plate_offset, own), contact.torque),
    )
