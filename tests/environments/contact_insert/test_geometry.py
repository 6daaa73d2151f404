"""The holder's sizes, the target, and which slot the plate is in."""

from __future__ import annotations

import math

import pytest

from tfagents_system.environments.contact_insert import geometry, rotations
from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.rotations import Vector
from tfagents_system.environments.contact_insert.settings import Settings


def test_walls_and_base_are_where_the_archived_holder_has_them() -> None:
    base, *walls = Holder(Settings()).boxes
    assert [wall.center[1] for wall in walls] == pytest.approx(
        [-0.24, -0.08, 0.08, 0.24]
    )
    assert walls[0].half_extents == pytest.approx((0.15, 0.03, 0.08))
    assert walls[0].center[2] == pytest.approx(0.10)
    assert base.half_extents == pytest.approx((0.15, 0.33, 0.01))


def test_the_goal_is_2_cm_above_where_the_plate_rests() -> None:
    holder = Holder(Settings())
    assert holder.goal_height == pytest.approx(0.1966)
    target = holder.target(holder.pose(-0.1, 0.2, 0.3))
    x, y, z = geometry.plate_center(target)
    assert (x, y, z - geometry.TABLE_TOP) == pytest.approx((-0.1, 0.2, 0.1966))
    assert rotations.to_vector(target.orientation) == pytest.approx((0, 0, 0.3))


@pytest.mark.parametrize(
    ("in_holder", "slot"),
    [
        ((0.0, 0.0, 0.1966), 0),
        ((0.049, 0.07, 0.2), 0),
        ((0.0, 0.17, 0.1766), 1),
        ((0.0, -0.239, 0.1766), -1),
        ((0.0, 0.241, 0.1766), None),
        ((0.051, 0.0, 0.1766), None),
        ((0.0, 0.0, 0.2167), None),
    ],
)
def test_slots_are_counted_from_the_middle(in_holder: Vector, slot: int | None) -> None:
    holder = Holder(Settings())
    pose = holder.pose(-0.15, 0.1, math.radians(20))
    plate = rotations.add(pose.position, rotations.rotate(pose.orientation, in_holder))
    assert holder.slot(pose, plate) == slot
