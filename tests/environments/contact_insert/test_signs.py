"""Signs drawn over a picture: where they should be, in their colours."""

from __future__ import annotations

import numpy as np
import pybullet as p
from numpy.typing import NDArray

from tests.environments.contact_insert.test_scene import scene
from tfagents_system.environments.contact_insert import signs
from tfagents_system.environments.contact_insert.impedance import Wrench
from tfagents_system.environments.contact_insert.reward import EndReason
from tfagents_system.environments.contact_insert.rotations import ZERO, Pose
from tfagents_system.environments.contact_insert.scene import Scene

VIEW = p.computeViewMatrix((-0.15, -1.5, 1.2), (-0.15, 0, 1.2), (0, 0, 1))
PROJECTION = p.computeProjectionMatrixFOV(45, 4 / 3, 0.1, 5)
#: Below the legend.
SCENE_ROWS = slice(75, None)


def draw(drawn: Scene) -> NDArray[np.uint8]:
    white = np.full((360, 480, 3), 255, np.uint8)
    return signs.draw_over(white, drawn, VIEW, PROJECTION)


def count(picture: NDArray[np.uint8], color: signs.Color) -> int:
    """Returns how many pixels of a scene are nearly of a colour."""
    away = np.abs(picture[SCENE_ROWS].astype(int) - np.array(color)).max(axis=-1)
    return int(np.sum(away < 40))


def test_goal_and_believed_goal_are_outlined_where_they_are() -> None:
    drawn = scene(1.436, [])
    x, y, z = drawn.target.position
    aside = drawn._replace(believed=Pose((x - 0.3, y, z), drawn.target.orientation))
    picture = draw(aside)
    assert count(picture, signs.TARGET_COLOR) > 100
    assert count(picture, signs.BELIEVED_COLOR) > 100
    assert count(picture[:, :185], signs.TARGET_COLOR) == 0
    assert count(picture[:, 280:], signs.BELIEVED_COLOR) == 0


def test_an_arrow_shows_a_force_beyond_the_weight() -> None:
    drawn = scene(1.436, [])
    assert count(draw(drawn), signs.FORCE_COLOR) == 0
    pushed = drawn._replace(wrench=Wrench((8.0, 0.0, 3.24), ZERO))
    picture = draw(pushed)
    assert count(picture, signs.FORCE_COLOR) > 50
    # From the hand, in the middle, to the right.
    assert count(picture[:, :235], signs.FORCE_COLOR) == 0


def test_a_force_towards_the_eye_harms_nothing() -> None:
    towards = scene(1.2, [])._replace(wrench=Wrench((0.0, -8.0, 3.24), ZERO))
    assert draw(towards).shape == (360, 480, 3)


def test_the_outcome_is_written() -> None:
    drawn = scene(1.436, [])
    ended = drawn._replace(reason=EndReason.GOAL)
    corner = (slice(0, 40), slice(350, None))
    assert np.all(draw(drawn)[corner] == 255)
    assert np.any(draw(ended)[corner] != 255)
