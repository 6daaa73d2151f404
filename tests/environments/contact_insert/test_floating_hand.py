"""Facts of the floating hand: its speed, its springs, and the wrench it reads."""

from __future__ import annotations

import pytest

from tfagents_system.environments.contact_insert.floating_hand import (
    MASS_KG,
    FloatingHand,
)
from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.impedance import STIFFNESS
from tfagents_system.environments.contact_insert.rotations import (
    IDENTITY,
    ZERO,
    Pose,
    Vector,
    norm,
    subtract,
    to_vector,
)
from tfagents_system.environments.contact_insert.settings import Settings

SUBSTEPS = 24
START = (-0.125, 0.0, 1.436)
WEIGHT = 0.33 * 9.81


def reset(hand: FloatingHand, holder_y: float, z: float = START[2]) -> None:
    holder = Holder(Settings())
    pose = holder.pose(START[0], holder_y, 0)
    hand.reset(holder, pose, Pose((START[0], 0.0, z), IDENTITY))


def steps(hand: FloatingHand, offset: Vector, number: int) -> None:
    for _ in range(number):
        hand.set_goal(offset, ZERO)
        hand.run(SUBSTEPS)


@pytest.mark.parametrize("offset", [(0.01, 0.0, 0.0), (0.0, -0.02, 0.01)])
def test_the_steady_speed_is_5_3_offsets_a_second(
    hand: FloatingHand, offset: Vector
) -> None:
    reset(hand, 0, z=2)
    steps(hand, offset, 20)
    before = hand.hand_pose().position
    steps(hand, offset, 20)
    speed = norm(subtract(hand.hand_pose().position, before))  # In 20 steps, 1 s.
    assert speed == pytest.approx(5.3 * norm(offset), rel=0.05)


def test_a_goal_is_reached_and_kept(hand: FloatingHand) -> None:
    reset(hand, 0, z=2)
    hand.set_goal((0.05, 0.0, 0.02), (0.3, -0.2, 0.1))
    hand.run(480)
    reached, orientation = hand.hand_pose()
    assert reached == pytest.approx((START[0] + 0.05, 0, 2.02), abs=1e-3)
    assert to_vector(orientation) == pytest.approx((0.3, -0.2, 0.1), abs=1e-3)


def test_a_hanging_plate_reads_as_its_weight(hand: FloatingHand) -> None:
    reset(hand, 0)
    hand.run(SUBSTEPS)
    force, torque = hand.read_wrench()
    assert force == pytest.approx((0, 0, WEIGHT), rel=0.02, abs=1e-6)
    assert torque == pytest.approx((0, 0, 0), abs=1e-6)


def test_pressed_on_a_wall_it_reads_the_sum_of_the_contacts(hand: FloatingHand) -> None:
    reset(hand, 0.08, z=1.37)  # A wall is below the plate.
    hand.set_goal((0.0, 0.0, -0.05), ZERO)
    hand.run(960)
    hand.read_wrench()
    hand.run(1)
    force, torque = hand.read_wrench()
    contact, lever = hand.world.contact_wrench(hand.body, hand.hand_pose().position)
    assert contact[2] > 5
    for read, exerted in zip(force, contact):
        expected = (WEIGHT if exerted == contact[2] else 0) - exerted
        assert read == pytest.approx(expected, rel=0.05, abs=0.05)
    assert torque == pytest.approx([-part for part in lever], rel=0.05, abs=0.05)
    # The spring's stiffness in N/m is mass times gain.
    z = hand.hand_pose().position[2]
    assert contact[2] == pytest.approx(MASS_KG * STIFFNESS * (z - 1.32), rel=0.02)


def test_an_episode_leaves_nothing_for_the_next(hand: FloatingHand) -> None:
    def press() -> tuple[Vector, Pose]:
        reset(hand, 0.06, z=1.37)
        steps(hand, (0.01, 0.0, -0.02), 10)
        return hand.read_wrench().force, hand.hand_pose()

    first = press()
    reset(hand, 0.07, z=1.3)
    steps(hand, (-0.02, 0.02, 0.02), 7)
    assert press() == first
    assert norm(first[0]) != pytest.approx(WEIGHT, rel=0.1)
