"""The arm follows the law of the floating hand, as well as an arm can."""

from __future__ import annotations

import pytest

from tfagents_system.environments.contact_insert.geometry import (
    Holder,
    plate_center,
)
from tfagents_system.environments.contact_insert.panda import Panda
from tfagents_system.environments.contact_insert.rotations import (
    IDENTITY,
    ZERO,
    Pose,
    norm,
    subtract,
)
from tfagents_system.environments.contact_insert.settings import Settings

SUBSTEPS = 12
START = (-0.125, 0.0, 1.436)
WEIGHT = 0.33 * 9.81


def reset(arm: Panda) -> None:
    holder = Holder(Settings())
    arm.reset(holder, holder.pose(START[0], 0, 0), Pose(START, IDENTITY))


def test_it_starts_at_the_pose_and_holds_it(arm: Panda) -> None:
    reset(arm)
    assert arm.hand_pose().position == pytest.approx(START, abs=1e-5)
    assert arm.hand_pose().orientation == pytest.approx(IDENTITY, abs=1e-5)
    arm.run(240)
    arm.read_wrench()
    arm.run(SUBSTEPS)
    assert arm.hand_pose().position == pytest.approx(START, abs=2e-3)
    assert arm.read_wrench().force == pytest.approx((0, 0, WEIGHT), rel=0.02, abs=0.02)
    held = plate_center(arm.hand_pose())
    assert arm.plate_position() == pytest.approx(held, abs=2e-3)
    assert len(arm.joint_positions()) == 9


def test_its_steady_speed_is_the_floating_hands(arm: Panda) -> None:
    reset(arm)
    offset = (0.0, 0.0, -0.01)
    for step in range(30):
        if step == 10:
            before = arm.hand_pose().position
        arm.set_goal(offset, ZERO)
        arm.run(SUBSTEPS)
    speed = norm(subtract(arm.hand_pose().position, before))
    assert speed == pytest.approx(5.3 * 0.01, rel=0.1)


def test_an_episode_leaves_nothing_for_the_next(arm: Panda) -> None:
    def fall_on_the_walls() -> tuple[Pose, float]:
        reset(arm)
        arm.move_holder(Holder(Settings()).pose(START[0], 0.08, 0))
        arm.set_goal((0.0, 0.0, -0.1), ZERO)
        arm.run(120)
        return arm.hand_pose(), norm(arm.read_wrench().force)

    first = fall_on_the_walls()
    assert fall_on_the_walls() == first
