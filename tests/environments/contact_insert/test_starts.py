"""Where episodes start."""

from __future__ import annotations

import numpy as np
import pytest

from tfagents_system.environments.contact_insert import starts
from tfagents_system.environments.contact_insert.floating_hand import FloatingHand
from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.rotations import to_vector
from tfagents_system.environments.contact_insert.settings import Settings


@pytest.mark.parametrize("index", range(len(starts.BINS)))
def test_starts_are_free_and_in_their_ranges(hand: FloatingHand, index: int) -> None:
    holder, generator = Holder(Settings()), np.random.default_rng(0)
    start = starts.BINS[index]
    drawn = []
    for _ in range(40):
        pose = starts.place(hand, holder, index, generator)
        assert not hand.is_in_contact()
        assert hand.hand_pose().position == (starts.HAND_X, 0, start.hand_z)
        yaw = np.degrees(to_vector(pose.orientation)[2])
        drawn.append((pose.position[0], pose.position[1], yaw))
    x, y, yaw = np.transpose(drawn)
    assert np.all((x > -0.2) & (x < -0.1))
    assert 0.5 * start.holder_y < np.abs(y).max() < start.holder_y
    assert 0.5 * start.holder_yaw_deg < np.abs(yaw).max() < start.holder_yaw_deg


def test_a_bin_that_is_never_free_gives_way_to_the_high_one(hand: FloatingHand) -> None:
    # The plate is 27.5 mm thick.
    narrow = Holder(Settings(slot_gap=0.0276))
    starts.place(hand, narrow, len(starts.BINS) - 1, np.random.default_rng(0))
    assert hand.hand_pose().position[2] == starts.BINS[starts.HIGH].hand_z
