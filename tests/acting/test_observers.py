"""The user's observers of an episode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tf_agents.metrics import py_metrics

from tfagents_system.acting import observers
from tfagents_system.acting.episode import run_episode
from tfagents_system.acting.policies import RandomPolicy


def test_users_observers_see_every_step_in_tf_agents_types(
    pendulum: tuple[Any, Any, Any],
) -> None:
    env = pendulum[1]
    policy = RandomPolicy(env.action_spec(), np.random.default_rng(0))
    transitions: list[Any] = []
    users_metrics = {
        "reward": py_metrics.AverageReturnMetric(buffer_size=1),
        "length": py_metrics.AverageEpisodeLengthMetric(buffer_size=1),
        "episodes": py_metrics.NumberOfEpisodes(),
        "steps": py_metrics.EnvironmentSteps(),
    }
    trajectories: list[Any] = []
    watchers = observers.make_watchers(
        (
            {"mine": trajectories.append},
            {"also_mine": transitions.append},
            users_metrics,
        )
    )
    results = [run_episode(env, policy, watchers) for _ in range(2)]
    read = observers.read_results(({}, {"not_a_metric": print}, users_metrics))
    assert read["Metrics/reward"] == pytest.approx(results[1].episode_return, rel=1e-5)
    assert read["Metrics/length"] == results[1].length == 200
    assert read["Metrics/episodes"] == 2
    assert read["Metrics/steps"] == 400
    # As TF-Agents' drivers do: a boundary follows each last step.
    assert len(trajectories) == 2 * 201
    assert trajectories[200].is_boundary()
    assert len(transitions) == 400
    time_step, step, next_time_step = transitions[199]
    assert next_time_step.is_last()
    assert step.action.shape == (1,)
    assert not time_step.is_last()


def test_no_observers_cost_nothing() -> None:
    assert observers.make_watchers(({}, {}, {})) == []


class Result:
    """An observer with a result."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, transition: Any) -> None:
        """Ignores what it observes."""

    def result(self) -> Any:
        return self.value

    def reset(self) -> None:
        self.value = 0.0


def test_results_are_the_scalars_of_metrics_and_of_transition_observers() -> None:
    users = (
        {"observer": Result(1.0)},
        {"transition": Result(np.array([2.0])), "vector": Result(np.zeros(2))},
        {"metric": Result(np.float32(3.0))},
    )
    assert observers.read_results(users) == {
        "Metrics/transition": 2.0,
        "Metrics/metric": 3.0,
    }


def test_those_that_can_be_are_reset() -> None:
    kept = [Result(float(value)) for value in range(1, 4)]
    users = (
        {"callable": print, "observer": kept[0]},
        {"transition": kept[1]},
        {"metric": kept[2]},
    )
    observers.reset(users)
    assert [observer.value for observer in kept] == [0.0, 0.0, 0.0]
