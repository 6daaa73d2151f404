"""Several episodes and their statistics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from tf_agents.metrics import py_metrics

from tfagents_system.acting import evaluation, observers
from tfagents_system.acting.episode import EpisodeResult
from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.environments import hooks
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import CollectWorkerStatus, Phase
from tfagents_system.experiment.status_writer import StatusWriter


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


MakeEvaluator = Callable[..., evaluation.Evaluator]
ITERATION_TRAIN_STEPS = 10


@pytest.fixture
def make_evaluator(load: Callable[..., Any], tmp_path: Path) -> Iterator[MakeEvaluator]:
    """Yields a function that makes the evaluator of a worker that has just started."""
    envs = []

    def make(eval_period_itrs: int) -> evaluation.Evaluator:
        params = load(
            horizon=5,
            train_params={
                "num_iter": 10,
                "num_steps_per_iter": ITERATION_TRAIN_STEPS,
                "eval_period_itrs": eval_period_itrs,
                "n_eval_episodes": 2,
            },
        )
        env = hooks.make_eval_env(params, worker=0, seed=0)
        envs.append(env)
        status = StatusWriter(Experiment(tmp_path), "worker", CollectWorkerStatus)
        policy = RandomPolicy(env.action_spec(), np.random.default_rng(0))
        return evaluation.Evaluator(params, env, policy, ({}, {}, {}), status)

    yield make
    for env in envs:
        env.close()


def evaluate_at(evaluator: evaluation.Evaluator, iterations: list[int]) -> list[int]:
    """Evaluates where that is due; returns the iterations."""
    evaluated = []
    for iteration in iterations:
        train_step = ITERATION_TRAIN_STEPS * iteration
        if evaluator.is_due(train_step):
            evaluator.evaluate(train_step)
            evaluated.append(iteration)
    return evaluated


@pytest.mark.parametrize(
    ("period", "iterations", "evaluated"),
    [
        (4, list(range(11)), [0, 4, 8, 10]),
        # The first policy that it gets; then the first of each period.
        (4, [3, 4, 7, 9], [3, 4, 9]),
        (4, [10, 10], [10]),
        (0, [0, 5, 10], []),
    ],
)
def test_a_policy_is_evaluated_once_a_period_and_at_the_end(
    make_evaluator: MakeEvaluator,
    period: int,
    iterations: list[int],
    evaluated: list[int],
) -> None:
    assert evaluate_at(make_evaluator(period), iterations) == evaluated


def test_a_worker_that_starts_again_repeats_no_evaluation(
    make_evaluator: MakeEvaluator,
) -> None:
    assert evaluate_at(make_evaluator(4), [5]) == [5]
    assert evaluate_at(make_evaluator(4), [5, 6, 8]) == [8]


def test_the_status_has_the_last_and_the_best_evaluation(
    make_evaluator: MakeEvaluator,
) -> None:
    evaluator = make_evaluator(1)
    status = evaluator._status.value
    status.best_eval_return = float("nan")  # Any other is better.
    summaries = {step: evaluator.evaluate(step) for step in range(0, 100, 10)}
    returns = {step: summary.mean_return for step, summary in summaries.items()}
    assert len(set(returns.values())) == len(returns)
    assert status.phase is Phase.EVALUATING
    assert (status.eval_train_step, status.eval_return) == (90, returns[90])
    best = max(returns, key=lambda step: returns[step])
    assert (status.best_eval_train_step, status.best_eval_return) == (
        best,
        returns[best],
    )
    assert status.worker_eval_episodes == 20
