"""One episode, and what watches it."""

from __future__ import annotations

from typing import Any

import pytest
from tf_agents.metrics import py_metrics
from tf_agents.policies import random_py_policy

from tfagents_system.acting import episode, evaluation
from tfagents_system.experiment import summaries


@pytest.fixture
def random_episode(pendulum: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """Returns an environment of 200 steps an episode and a random policy."""
    env = pendulum[1]
    policy = random_py_policy.RandomPyPolicy(
        env.time_step_spec(), env.action_spec(), seed=0
    )
    return env, episode.TFAgentsPolicy(policy)


def test_users_observers_see_every_step_in_tf_agents_types(
    random_episode: tuple[Any, Any],
) -> None:
    transitions: list[Any] = []
    users_metrics = {
        "reward": py_metrics.AverageReturnMetric(buffer_size=1),
        "length": py_metrics.AverageEpisodeLengthMetric(buffer_size=1),
        "episodes": py_metrics.NumberOfEpisodes(),
        "steps": py_metrics.EnvironmentSteps(),
    }
    trajectories: list[Any] = []
    watchers = episode.user_watchers(
        (
            {"mine": trajectories.append},
            {"also_mine": transitions.append},
            users_metrics,
        )
    )
    results = [episode.run_episode(*random_episode, watchers) for _ in range(2)]
    read = summaries.user_results({"not_a_metric": print}, users_metrics)
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
    assert episode.user_watchers(({}, {}, {})) == []


def test_summary_of_episodes() -> None:
    results = [episode.EpisodeResult(1.0, 10), episode.EpisodeResult(3.0, 20)]
    summary = evaluation.summarize(results)
    assert summary == evaluation.Summary(2.0, 1.0, 15.0, 2, None)
    assert str(summary) == "return 2.000 ± 1.000, length 15.0, 2 episodes"


def test_rates_are_increases_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(
        "tfagents_system.experiment.summaries.time.monotonic", lambda: now[0]
    )
    meter = summaries.RateMeter(window_secs=10)
    assert meter.rates(5, 100) == (0.0, 0.0)
    now[0] = 5.0
    assert meter.rates(15, 200) == (2.0, 20.0)
    now[0] = 14.0  # The first point has left the window.
    assert meter.rates(15, 290) == (0.0, 10.0)
    now[0] = 15.0
    assert meter.rates(0, 290)[0] == 0.0  # A counter that went back has no rate.
    now[0] = 115.0  # Calls are rarer than the window is long.
    assert meter.rates(50, 490) == (0.5, 2.0)
