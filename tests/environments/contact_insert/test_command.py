"""The residual command on the base motion."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfagents_system.environments.contact_insert import command, rotations
from tfagents_system.environments.contact_insert.command import Command


def test_the_base_motion_is_the_way_to_the_target_up_to_half_a_command() -> None:
    near = command.base_motion((0.1, 0.0, -0.1), (0.0, 0.0, 0.2))
    assert near == ((0.1, 0.0, -0.1), (0.0, 0.0, 0.2))
    far = command.base_motion((3.0, 0.0, 4.0), (0.0, 0.0, -2.0))
    assert far.translation == pytest.approx((0.15, 0.0, 0.2))
    assert far.rotation == pytest.approx((0, 0, -math.radians(22.5)))


def test_an_action_of_one_moves_the_goal_12_mm() -> None:
    still = Command(rotations.ZERO, rotations.ZERO)
    composed = command.compose(still, [1.0, -1.0, 0.0, 0.0, 0.0, 1.0])
    assert composed.offset == pytest.approx((0.0125, -0.0125, 0.0))
    angle = math.sqrt(3) / 2 * math.radians(45)
    assert composed.turn == pytest.approx((0, 0, 0.5 * angle))


def test_a_command_is_clipped_to_one() -> None:
    base = Command(rotations.ZERO, (0.0, 0.0, 0.39))
    assert command.compose(base, [0, 0, 0, 0, 0, 1.0]).rotation == (0, 0, 1)


def test_the_action_for_a_command_leads_to_it() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        numbers = generator.uniform(-1, 1, 6)
        base = command.base_motion(
            tuple(generator.uniform(-0.2, 0.2, 3)),
            tuple(generator.uniform(-0.2, 0.2, 3)),
        )
        wanted = command.compose(base, numbers.tolist())
        again = command.compose(base, command.action_for(base, wanted))
        assert again.translation == pytest.approx(wanted.translation)
        assert again.rotation == pytest.approx(wanted.rotation)
