"""What the base class gives to observe with; tests/acting has it in real episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf_agents.trajectories import trajectory

from tfagents_system.settings.default_observers import Count, EpisodeMean

FIRST, MID, LAST = 0, 1, 2


def step(step_type: int, next_step_type: int, reward: float) -> Any:
    """Returns a trajectory of one step."""
    return trajectory.Trajectory(
        *(np.array(step_type), (), (), (), np.array(next_step_type)),
        *(np.float32(reward), np.float32(1)),
    )


def test_a_mean_is_over_the_last_episodes_and_knows_no_unfinished_one() -> None:
    mean = EpisodeMean("Mean", lambda trajectory: float(trajectory.reward), 2)
    assert mean.result() == 0
    for reward in (1.0, 2.0, 3.0):
        mean(step(FIRST, MID, reward))
        mean(step(MID, LAST, reward))
        mean(step(LAST, FIRST, 100.0))  # Between two episodes.
    mean(step(FIRST, MID, 100.0))
    assert mean.result() == (4.0 + 6.0) / 2
    mean(step(FIRST, LAST, 8.0))  # Another one was begun instead.
    assert mean.result() == (6.0 + 8.0) / 2
    mean.reset()
    assert mean.result() == 0


def test_a_count_goes_on_until_it_is_reset() -> None:
    count = Count("Ends", lambda trajectory: trajectory.is_last())
    for next_type in (MID, LAST, LAST):
        count(step(MID, next_type, 0.0))
    assert count.result() == 2
    count.reset()
    assert count.result() == 0
