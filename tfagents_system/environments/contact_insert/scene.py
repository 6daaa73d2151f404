"""What a picture is drawn of."""

from __future__ import annotations

from typing import NamedTuple

from tfagents_system.environments.contact_insert import geometry
from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.impedance import Wrench
from tfagents_system.environments.contact_insert.reward import EndReason
from tfagents_system.environments.contact_insert.rotations import Pose, Vector


class Scene(NamedTuple):
    """What there is to draw.

    Attributes:
      holder: The holder.
      holder_pose: Its true pose.
      hand: Pose of the hand.
      joints: Of the arm and its fingers; none for a hand without an arm.
      target: Pose of the hand at the goal.
      believed: The same with the error of the episode.
      wrench: What the hand exerts on the plate.
      reason: Whether and why the episode has ended.
    """

    holder: Holder
    holder_pose: Pose
    hand: Pose
    joints: list[float]
    target: Pose
    believed: Pose
    wrench: Wrench
    reason: EndReason

    @property
    def contact_force(self) -> Vector:
        """The force of the hand beyond what carries the plate, N."""
        x, y, z = self.wrench.force
        return x, y, z - geometry.PLATE_MASS_KG * geometry.GRAVITY
