"""Pictures show what is there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.environments.contact_insert.test_scene import scene
from tfagents_system.environments.contact_insert.panda import REST
from tfagents_system.environments.contact_insert.picture import (
    HEIGHT,
    WIDTH,
    Picture,
)


def changed(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Returns the fraction of pixels that differ visibly."""
    difference = np.abs(a.astype(int) - b.astype(int)).max(axis=-1)
    return float(np.mean(difference > 20))


@pytest.mark.parametrize("joints", [[], [*REST.tolist(), 0.01, 0.01]])
def test_a_picture_shows_the_hand_move(joints: list[float]) -> None:
    picture = Picture()
    try:
        high = picture.draw(scene(1.436, joints))
        assert high.shape == (HEIGHT, WIDTH, 3)
        assert high.dtype == np.uint8
        assert changed(high, picture.draw(scene(1.436, joints))) == 0
        assert 0.02 < changed(high, picture.draw(scene(1.2, joints))) < 0.3
    finally:
        picture.close()


def test_an_arm_is_seen() -> None:
    picture = Picture()
    try:
        without = picture.draw(scene(1.436, []))
        with_arm = picture.draw(scene(1.436, [*REST.tolist(), 0.01, 0.01]))
        assert changed(without, with_arm) > 0.02
    finally:
        picture.close()
