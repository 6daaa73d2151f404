"""The error of the target and the lag of a command."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfagents_system.environments.contact_insert import noise
from tfagents_system.environments.contact_insert.rotations import Pose, from_yaw
from tfagents_system.environments.contact_insert.settings import Settings


def test_the_error_is_uniform_up_to_5_cm_and_5_degrees() -> None:
    generator = np.random.default_rng(0)
    drawn = np.array(
        [noise.draw_holder_error(Settings(), 1.0, generator) for _ in range(2000)]
    )
    largest = np.array([0.05, 0.05, math.radians(5)])
    assert np.all(np.abs(drawn) <= largest)
    np.testing.assert_allclose(np.abs(drawn).max(axis=0), largest, rtol=0.01)
    np.testing.assert_allclose(drawn.std(axis=0), largest / 3**0.5, rtol=0.05)


def test_the_noise_level_only_scales() -> None:
    full, half, none = (
        noise.draw_holder_error(Settings(), level, np.random.default_rng(1))
        for level in (1.0, 0.5, 0.0)
    )
    assert half == pytest.approx([part / 2 for part in full])
    assert none == (0, 0, 0)


def test_the_target_is_displaced_in_its_own_axes() -> None:
    target = Pose((1.0, 2.0, 3.0), from_yaw(math.pi / 2))
    moved = noise.displace(target, (0.1, 0.0, 0.2))
    assert moved.position == pytest.approx((1.0, 2.1, 3.0))
    assert moved.orientation == pytest.approx(from_yaw(math.pi / 2 + 0.2))


def test_lags_of_7_to_12_ms_are_3_to_6_physics_steps() -> None:
    lags = noise.draw_lags(Settings(horizon=500), 480, np.random.default_rng(0))
    assert len(lags) == 500
    assert set(lags) == {3, 4, 5, 6}
