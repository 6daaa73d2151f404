"""Several episodes and their statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tf_agents.metrics import py_metrics

from tfagents_system.acting import evaluation, observers
from tfagents_system.acting.episode import EpisodeResult
from tfagents_system.acting.policies import RandomPolicy


def test_summary_of_episodes() -> None:
    results = [EpisodeResult(1.0, 10), EpisodeResult(3.0, 20)]
    summary = evaluation.summarize(results)
    assert summary == evaluation.Summary(2.0, 1.0, 15.0, 2, None)
    assert str(summary) == "return 2.000 ± 1.000, length 15.0, 2 episodes"


def test_success_rate_is_of_the_episodes_that_say() -> None:
    flags = (True, False, None, False, False)
    summary = evaluation.summarize([EpisodeResult(0.0, 1, flag) for flag in flags])
    assert summary.success_rate == 0.25
    assert "success 25%" in str(summary)


def test_each_evaluation_is_of_its_own_episodes(
    pendulum: tuple[Any, Any, Any],
) -> None:
    env = pendulum[1]
    policy = RandomPolicy(env.action_spec(), np.random.default_rng(0))
    rewards: list[float] = []
    steps_at_ends: list[int] = []
    users: Any = (
        {},
        {"rewards": lambda transition: rewards.append(transition[2].reward)},
        {
            "return": py_metrics.AverageReturnMetric(buffer_size=10),
            "steps": py_metrics.EnvironmentSteps(),
        },
    )
    for num_episodes in (3, 2):
        rewards.clear()
        steps_at_ends.clear()
        summary = evaluation.evaluate(
            env,
            policy,
            users,
            num_episodes,
            on_episode=lambda: steps_at_ends.append(len(rewards)),
        )
        assert steps_at_ends == [200 * (index + 1) for index in range(num_episodes)]
        returns = np.reshape(rewards, (num_episodes, 200)).sum(1, np.float64)
        assert summary.mean_return == pytest.approx(returns.mean(), rel=1e-5)
        assert summary.std_return == pytest.approx(returns.std(), rel=1e-4)
        assert (summary.mean_length, summary.num_episodes) == (200, num_episodes)
        # Nothing of the evaluation before.
        assert observers.read_results(users) == {
            "Metrics/return": pytest.approx(summary.mean_return, rel=1e-5),
            "Metrics/steps": 200 * num_episodes,
        }
