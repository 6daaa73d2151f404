"""Where an episode starts: high above the holder, or partly inserted."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.impedance import Robot
from tfagents_system.environments.contact_insert.rotations import IDENTITY, Pose

MAX_TRIES = 100
HAND_X = -0.125
HOLDER_X = (-0.2, -0.1)


class Bin(NamedTuple):
    """A kind of start.

    Attributes:
      hand_z: Height of the hand, m.
      holder_y: Largest distance of the holder from the middle, m.
      holder_yaw_deg: Largest yaw of the holder, degrees.
    """

    hand_z: float
    holder_y: float
    holder_yaw_deg: float


#: High, medium and low. In the last two the plate's rim is below the walls' tops.
BINS = (Bin(1.436, 0.2, 20.0), Bin(1.341, 0.035, 13.0), Bin(1.246, 0.035, 13.0))
HIGH = 0


def place(
    robot: Robot, holder: Holder, bin_index: int, generator: np.random.Generator
) -> Pose:
    """Resets the robot above or in a holder that it does not touch.

    Args:
      robot: The robot.
      holder: The holder.
      bin_index: Of BINS. A bin for which no pose is free is replaced by the high one.
      generator: Draws the pose of the holder.

    Returns:
      The holder's pose.
    """
    hand = Pose((HAND_X, 0.0, BINS[bin_index].hand_z), IDENTITY)
    pose = _draw_pose(holder, BINS[bin_index], generator)
    robot.reset(holder, pose, hand)
    for _ in range(MAX_TRIES):
        if not robot.is_in_contact():
            return pose
        pose = _draw_pose(holder, BINS[bin_index], generator)
        robot.move_holder(pose)
    if bin_index == HIGH:
        raise RuntimeError("the plate touches the holder in its highest start")
    return place(robot, holder, HIGH, generator)


def _draw_pose(holder: Holder, start: Bin, generator: np.random.Generator) -> Pose:
    x = generator.uniform(*HOLDER_X)
    y = generator.uniform(-start.holder_y, start.holder_y)
    yaw = generator.uniform(-start.holder_yaw_deg, start.holder_yaw_deg)
    return holder.pose(x, y, math.radians(yaw))
