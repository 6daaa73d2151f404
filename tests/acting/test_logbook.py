"""What is logged of training episodes and evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tf_agents.metrics import py_metrics

from tests.end_to_end.harness import read_scalars
from tfagents_system.acting import observers
from tfagents_system.acting.episode import EpisodeResult, run_episode
from tfagents_system.acting.evaluation import Summary, evaluate
from tfagents_system.acting.logbook import Logbook
from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import CollectWorkerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import Steps
from tfagents_system.settings.default_observers import Observers

NAME = "collect_worker_0"


def open_logbook(
    folder: Path, train: Observers = ({}, {}, {}), evaluation: Observers = ({}, {}, {})
) -> Logbook:
    """Returns the logbook of a worker."""
    experiment = Experiment(folder)
    status = StatusWriter(experiment, NAME, CollectWorkerStatus)
    return Logbook(experiment, NAME, status, train, evaluation)


def test_episodes_are_logged_against_both_steps(tmp_path: Path) -> None:
    logbook = open_logbook(tmp_path)
    logbook.add_episode(EpisodeResult(-3.0, 20), {"mass": 1.5}, Steps(0, 20))
    logbook.add_episode(
        EpisodeResult(5.0, 10), {"mass": 2}, Steps(7, 30), env_steps_per_sec=12.5
    )
    logbook.train.flush()
    scalars = read_scalars(tmp_path / "train" / NAME)
    assert scalars == {
        "Metrics/return": [(0, -3.0), (7, 5.0)],
        "Metrics_vs_env_step/return": [(20, -3.0), (30, 5.0)],
        "Metrics/episode_length": [(0, 20), (7, 10)],
        "Metrics_vs_env_step/episode_length": [(20, 20), (30, 10)],
        "Metrics/env_steps_per_sec": [(7, 12.5)],
        "Metrics_vs_env_step/env_steps_per_sec": [(30, 12.5)],
        "Curriculum/mass": [(0, 1.5), (7, 2)],
        "Curriculum_vs_env_step/mass": [(20, 1.5), (30, 2)],
    }


def test_evaluations_are_logged_against_both_steps_and_on_disk_at_once(
    tmp_path: Path,
) -> None:
    logbook = open_logbook(tmp_path)
    logbook.add_evaluation(Summary(8.0, 1.0, 20.0, 5, 0.4), Steps(100, 2000))
    assert read_scalars(tmp_path / "eval" / NAME) == {
        "Metrics/return": [(100, 8.0)],
        "Metrics_vs_env_step/return": [(2000, 8.0)],
        "Metrics/episode_length": [(100, 20.0)],
        "Metrics_vs_env_step/episode_length": [(2000, 20.0)],
        "Metrics/success_rate": [(100, pytest.approx(0.4))],
        "Metrics_vs_env_step/success_rate": [(2000, pytest.approx(0.4))],
    }


def test_success_rate_is_of_the_last_100_episodes(tmp_path: Path) -> None:
    logbook = open_logbook(tmp_path)
    assert logbook.success_rate is None
    rates: list[float | None] = []
    # 50 successes, then failures.
    for index in range(130):
        result = EpisodeResult(0.0, 1, is_success=index < 50)
        logbook.add_episode(result, {}, Steps(index, index))
        rates.append(logbook.success_rate)
    assert rates[:50] == [1.0] * 50
    assert rates[99] == 0.5
    assert rates[129] == 0.2  # 20 of the 50 are among the last 100.
    logbook.train.flush()
    written = read_scalars(tmp_path / "train" / NAME)["Metrics/success_rate"]
    assert [value for _, value in written] == pytest.approx(rates)


def test_users_metrics_are_logged_of_their_own_episodes(
    pendulum: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    env = pendulum[1]
    policy = RandomPolicy(env.action_spec(), np.random.default_rng(0))
    train: Observers = ({}, {}, {"num_steps": py_metrics.EnvironmentSteps()})
    evaluation: Observers = ({}, {}, {"num_episodes": py_metrics.NumberOfEpisodes()})
    logbook = open_logbook(tmp_path, train, evaluation)
    for index in range(1, 3):
        result = run_episode(env, policy, observers.make_watchers(train))
        logbook.add_episode(result, {}, Steps(0, 200 * index))
    summary = evaluate(env, policy, evaluation, num_episodes=3)
    logbook.add_evaluation(summary, Steps(5, 400))
    logbook.train.flush()
    trained = read_scalars(tmp_path / "train" / NAME)
    assert trained["Metrics_vs_env_step/num_steps"] == [(200, 200), (400, 400)]
    assert "Metrics/num_episodes" not in trained
    evaluated = read_scalars(tmp_path / "eval" / NAME)
    assert evaluated["Metrics/num_episodes"] == [(5, 3)]
    assert evaluated["Metrics/return"][0] == pytest.approx((5, summary.mean_return))
    assert "Metrics/num_steps" not in evaluated
