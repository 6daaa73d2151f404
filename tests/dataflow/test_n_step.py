"""Returns over several steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tf_agents.trajectories import time_step as ts

from tfagents_system.dataflow.n_step import NStepWriter

GAMMA = 0.5


def run(num_steps: int, rewards: list[float], last_discount: float) -> list[Any]:
    """Passes one episode through; returns (first, action, reward, discount, next)."""
    written: list[Any] = []

    def write(time_step: Any, action: Any, reward: Any, discount: Any, o: Any) -> None:
        written.append((time_step.observation, action, reward, discount, o))

    writer = NStepWriter(num_steps, GAMMA, write)
    # The episode before was cut short and must leave no trace.
    writer.add(ts.restart(-1.0), -1.0, ts.transition(-2.0, 100.0))
    time_step = ts.restart(0.0)
    for index, reward in enumerate(rewards):
        following = ts.transition(index + 1.0, reward)
        if index == len(rewards) - 1:
            following = ts.TimeStep(
                ts.StepType.LAST, reward, last_discount, index + 1.0
            )
        writer.add(time_step, float(index), following)
        time_step = following
    return written[1:] if num_steps == 1 else written


@pytest.mark.parametrize("last_discount", [0.0, 1.0])
def test_three_steps_ahead_and_fewer_at_the_end(last_discount: float) -> None:
    written = run(3, [1.0, 2.0, 4.0, 8.0], last_discount)
    np.testing.assert_allclose(
        written,
        [
            (0, 0, 1 + 1 + 1, 0.25, 3),
            (1, 1, 2 + 2 + 2, 0.25 * last_discount, 4),
            (2, 2, 4 + 4, 0.5 * last_discount, 4),
            (3, 3, 8, last_discount, 4),
        ],
    )


def test_one_step_is_the_step_itself() -> None:
    np.testing.assert_array_equal(
        run(1, [1.0, 2.0], 0.0), [(0, 0, 1, 1, 1), (1, 1, 2, 0, 2)]
    )


def test_episode_shorter_than_n() -> None:
    np.testing.assert_allclose(
        run(5, [1.0, 2.0], 1.0), [(0, 0, 2.0, 0.5, 2), (1, 1, 2.0, 1.0, 2)]
    )


def test_the_target_is_the_n_step_return() -> None:
    rewards = [0.3, -1.0, 2.0, 0.7, 1.1]
    first = run(4, rewards, 0.0)[0]
    q = 10.0
    expected = sum(GAMMA**k * rewards[k] for k in range(4)) + GAMMA**4 * q
    assert first[2] + GAMMA * first[3] * q == pytest.approx(expected)
