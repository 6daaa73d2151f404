"""Vectors and rotations as tuples: faster than NumPy for three or four numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

Vector = tuple[float, float, float]
#: (x, y, z, w), as in PyBullet.
Quaternion = tuple[float, float, float, float]

ZERO: Vector = (0.0, 0.0, 0.0)
IDENTITY: Quaternion = (0.0, 0.0, 0.0, 1.0)


class Pose(NamedTuple):
    """A position in m and an orientation."""

    position: Vector
    orientation: Quaternion


def add(a: Vector, b: Vector) -> Vector:
    """Returns a + b."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def subtract(a: Vector, b: Vector) -> Vector:
    """Returns a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def scale(a: Vector, factor: float) -> Vector:
    """Returns factor * a."""
    return factor * a[0], factor * a[1], factor * a[2]


def norm(a: Vector) -> float:
    """Returns the length of a vector."""
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])


def clip_norm(a: Vector, largest: float) -> Vector:
    """Returns a vector of the same direction that is not longer than `largest`."""
    length = norm(a)
    return a if length <= largest else scale(a, largest / length)


def cross(a: Vector, b: Vector) -> Vector:
    """Returns the cross product a x b."""
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Returns the rotation b followed by the rotation a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def inverse(a: Quaternion) -> Quaternion:
    """Returns the inverse of a rotation."""
    return -a[0], -a[1], -a[2], a[3]


def rotate(a: Quaternion, vector: Vector) -> Vector:
    """Returns a vector rotated."""
    x, y, z, w = a
    vx, vy, vz = vector
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    return (
        vx + w * tx + y * tz - z * ty,
        vy + w * ty + z * tx - x * tz,
        vz + w * tz + x * ty - y * tx,
    )


def from_vector(vector: Vector) -> Quaternion:
    """Returns the rotation about a vector, by its length in rad."""
    angle = norm(vector)
    # sin(angle / 2) / angle, which is 1/2 at 0.
    factor = math.sin(angle / 2) / angle if angle > 1e-9 else 0.5
    x, y, z = scale(vector, factor)
    return x, y, z, math.cos(angle / 2)


def to_vector(a: Quaternion) -> Vector:
    """Returns axis times angle, the angle in [0, pi] rad."""
    x, y, z, w = a if a[3] >= 0 else (-a[0], -a[1], -a[2], -a[3])
    sine = math.sqrt(x * x + y * y + z * z)
    factor = 2 * math.atan2(sine, w) / sine if sine > 1e-9 else 2.0
    return factor * x, factor * y, factor * z


def from_yaw(yaw: float) -> Quaternion:
    """Returns the rotation about the vertical by an angle in rad."""
    return 0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)


def difference(a: Quaternion, b: Quaternion) -> Vector:
    """Returns the rotation vector that leads from b to a, in world axes."""
    return to_vector(multiply(a, inverse(b)))
