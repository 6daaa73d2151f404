"""A scene to draw, and its contact force."""

from __future__ import annotations

import pytest

from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.impedance import Wrench
from tfagents_system.environments.contact_insert.reward import EndReason
from tfagents_system.environments.contact_insert.rotations import IDENTITY, ZERO, Pose
from tfagents_system.environments.contact_insert.scene import Scene
from tfagents_system.environments.contact_insert.settings import Settings


def scene(z: float, joints: list[float]) -> Scene:
    """Returns a hand above the middle slot."""
    holder = Holder(Settings())
    pose = holder.pose(-0.15, 0, 0)
    target = holder.target(pose)
    hand = Pose((-0.15, 0.0, z), IDENTITY)
    return Scene(
        holder=holder,
        holder_pose=pose,
        hand=hand,
        joints=joints,
        target=target,
        believed=target,
        wrench=Wrench((0.0, 0.0, 3.24), ZERO),
        reason=EndReason.RUNNING,
    )


def test_the_weight_is_no_contact_force() -> None:
    drawn = scene(1.436, [])
    assert drawn.contact_force == pytest.approx((0, 0, 0), abs=0.01)
    pressed = drawn._replace(wrench=Wrench((1.0, 0.0, -5.76), ZERO))
    assert pressed.contact_force == pytest.approx((1, 0, -9), abs=0.01)
