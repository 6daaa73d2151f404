"""The world of table, holder and plate."""

from __future__ import annotations

from collections.abc import Iterator

import pybullet as p
import pytest

from tfagents_system.environments.contact_insert import geometry
from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.rotations import IDENTITY, ZERO, Pose
from tfagents_system.environments.contact_insert.settings import Settings
from tfagents_system.environments.contact_insert.world import World

MASS_KG = 0.33
#: Of a plate that stands in the middle slot of a holder in the middle.
RESTING = geometry.TABLE_TOP + geometry.HOLDER_BASE_HEIGHT + geometry.PLATE_RADIUS


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    holder = Holder(Settings())
    world.rebuild(holder, holder.pose(0, 0, 0), 480)
    yield world
    world.close()
    world.close()  # A second time does no harm.


def add_plate(world: World, y: float, z: float) -> int:
    shape = world.add_plate_shape(ZERO)
    return world.add_plate(shape, Pose((0.0, y, z), IDENTITY), MASS_KG)


def test_contact_is_where_wall_or_base_is(world: World) -> None:
    plate = add_plate(world, 0, RESTING + 0.001)
    assert not world.is_in_contact(plate)
    holder = Holder(Settings())
    # The slot leaves 36 mm on each side.
    world.move_holder(holder.pose(0, 0.036, 0))
    assert not world.is_in_contact(plate)
    world.move_holder(holder.pose(0, 0.037, 0))
    assert world.is_in_contact(plate)


def test_what_the_holder_exerts_on_a_standing_plate_is_its_weight(world: World) -> None:
    plate = add_plate(world, 0, RESTING)
    for _ in range(100):
        p.stepSimulation(physicsClientId=world.client)
    force, torque = world.contact_wrench(plate, (0.1, 0.0, RESTING))
    weight = MASS_KG * geometry.GRAVITY
    assert force == pytest.approx((0, 0, weight), abs=0.01)
    # About a point 0.1 m in front of it.
    assert torque == pytest.approx((0, 0.1 * weight, 0), abs=0.01)


def test_worlds_do_not_share_bodies(world: World) -> None:
    other = World()
    try:
        add_plate(world, 0, 2)
        assert p.getNumBodies(physicsClientId=world.client) == 3
        assert p.getNumBodies(physicsClientId=other.client) == 0
    finally:
        other.close()
