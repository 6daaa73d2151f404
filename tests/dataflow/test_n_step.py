"""Returns over several steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tf_agents.trajectories import time_step as ts

from tfagents_system.dataflow.n_step import NStep

GAMMA = 0.5


def run(num_steps: int, rewards: list[float], last_discount: float) -> list[Any]:
    """Passes one episode through; returns (first, action, reward, discount, next)."""
    n_step = NStep(num_steps, GAMMA)
    # The episode before was cut short and must leave no trace.
    n_step.add(ts.restart(-1.0), -1.0, ts.transition(-2.0, 100.0))
    made: list[Any] = []
    time_step = ts.restart(0.0)
    for index, reward in enumerate(rewards):
        following = ts.transition(index + 1.0, reward)
        if index == len(rewards) - 1:
            following = ts.TimeStep(
                ts.StepType.LAST, reward, last_discount, index + 1.0
            )
        made += n_step.add(time_step, float(index), following)
        time_step = following
    return [(made_of.observation, *rest) for made_of, *rest in made]


@pytest.mark.parametrize("last_discount", [0.0, 1.0])
def test_three_steps_ahead_and_fewer_at_the_end(last_discount: float) -> None:
    made = run(3, [1.0, 2.0, 4.0, 8.0], last_discount)
    np.testing.assert_allclose(
        made,
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


def test_a_transition_is_made_as_soon_as_it_can_be() -> None:
    n_step = NStep(2, GAMMA)
    middle = ts.transition(1.0, 1.0)
    assert n_step.add(ts.restart(0.0), 0.0, middle) == []
    (first,) = n_step.add(middle, 1.0, middle)
    assert first.time_step.is_first()
    # The last step completes its own transition and the one before.
    last = n_step.add(middle, 2.0, ts.termination(3.0, 1.0))
    assert [transition.action for transition in last] == [1.0, 2.0]


def test_steps_and_discount_are_those_of_the_hyperparameters(load: Any) -> None:
    params = load(train_params={"n_step_returns": 3, "discount": GAMMA})
    n_step, expected = NStep.of(params), NStep(3, GAMMA)
    steps = [ts.restart(0.0), *[ts.transition(float(i), 1.0) for i in range(1, 4)]]
    for before, after in zip(steps, steps[1:]):
        made = n_step.add(before, 0.0, after)
        assert made == expected.add(before, 0.0, after)
    assert len(made) == 1
