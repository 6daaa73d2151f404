"""What a hand exerts on the plate that it holds."""

from __future__ import annotations

import pytest

from tfagents_system.environments.contact_insert.impedance import (
    DAMPING,
    Wrench,
    wrench_of_hand,
)
from tfagents_system.environments.contact_insert.rotations import ZERO

WEIGHT = 0.33 * 9.81


def test_the_damping_is_critical() -> None:
    assert pytest.approx(24.5, rel=1e-3) == DAMPING


def test_a_hand_carries_the_weight() -> None:
    wrench = wrench_of_hand(Wrench(ZERO, ZERO), ZERO, (0.1, 0.0, -0.12))
    assert wrench.force == pytest.approx((0, 0, WEIGHT))
    assert wrench.torque == pytest.approx((0, -0.1 * WEIGHT, 0))


def test_a_hand_exerts_the_opposite_of_the_contact() -> None:
    pressed = Wrench((1.0, 0.0, 9.0), (0.5, 0.0, 0.0))
    wrench = wrench_of_hand(pressed, ZERO, (0.0, 0.0, -0.12))
    assert wrench.force == pytest.approx((-1, 0, WEIGHT - 9))
    assert wrench.torque == pytest.approx((-0.5, 0, 0))


def test_a_falling_plate_weighs_nothing() -> None:
    falls = wrench_of_hand(Wrench(ZERO, ZERO), (0.0, 0.0, -9.81), (0.1, 0.0, -0.12))
    assert falls.force == pytest.approx((0, 0, 0))
