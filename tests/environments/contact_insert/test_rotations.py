"""Vectors and rotations, against PyBullet's and against each other."""

from __future__ import annotations

import math

import numpy as np
import pybullet as p
import pytest

from tfagents_system.environments.contact_insert import rotations
from tfagents_system.environments.contact_insert.rotations import Quaternion, Vector


def quaternions() -> list[Quaternion]:
    generator = np.random.default_rng(0)
    drawn = generator.normal(size=(10, 4))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return [(x, y, z, w) for x, y, z, w in drawn.tolist()]


@pytest.mark.parametrize("a", quaternions())
def test_products_and_rotations_are_pybullets(a: Quaternion) -> None:
    b, vector = quaternions()[0], (0.3, -1.0, 2.0)
    position, orientation = p.multiplyTransforms(rotations.ZERO, a, vector, b)
    # PyBullet's is single precision.
    assert rotations.rotate(a, vector) == pytest.approx(position, abs=1e-6)
    between = rotations.difference(rotations.multiply(a, b), orientation)
    assert between == pytest.approx(rotations.ZERO, abs=1e-6)
    identity = rotations.multiply(a, rotations.inverse(a))
    assert identity == pytest.approx(rotations.IDENTITY)


@pytest.mark.parametrize("vector", [(0.0, 0.0, 0.0), (1e-12, 0.0, 0.0), (0.1, -2, 1)])
def test_a_rotation_vector_comes_back(vector: Vector) -> None:
    quaternion = rotations.from_vector(vector)
    assert rotations.to_vector(quaternion) == pytest.approx(vector)
    # The same rotation by the other quaternion.
    x, y, z, w = quaternion
    assert rotations.to_vector((-x, -y, -z, -w)) == pytest.approx(vector)


def test_a_yaw_turns_x_towards_y() -> None:
    turned = rotations.rotate(rotations.from_yaw(math.pi / 2), (1.0, 0.0, 0.0))
    assert turned == pytest.approx((0.0, 1.0, 0.0))


def test_the_difference_leads_from_the_second_to_the_first() -> None:
    a, b = quaternions()[:2]
    between = rotations.from_vector(rotations.difference(a, b))
    assert rotations.rotate(rotations.multiply(between, b), (1, 2, 3)) == pytest.approx(
        rotations.rotate(a, (1, 2, 3))
    )


def test_vectors_are_clipped_to_a_length() -> None:
    assert rotations.clip_norm((3.0, 0.0, 4.0), 2.5) == pytest.approx((1.5, 0, 2))
    assert rotations.clip_norm((0.0, 0.0, 0.0), 2.5) == (0, 0, 0)
    assert rotations.cross((1.0, 0, 0), (0, 1.0, 0)) == (0, 0, 1)
    assert rotations.add((1, 2, 3), rotations.subtract((4, 5, 6), (1, 2, 3))) == (
        4,
        5,
        6,
    )
