"""Evaluations: statistics over several episodes of the greedy policy."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from typing import Callable

import numpy as np
from tf_agents.environments import py_environment

from tfagents_system.acting import observers
from tfagents_system.acting.episode import EpisodeResult, run_episode
from tfagents_system.acting.policies import Policy
from tfagents_system.experiment.status_file import CollectWorkerStatus, Phase
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.settings.default_observers import Observers
from tfagents_system.settings.hyperparameters import Hyperparameters

# Training episodes of a success rate, as many as in Stable-Baselines3.
SUCCESS_EPISODES = 100

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Statistics over episodes.

    Attributes:
      mean_return: Mean of the undiscounted returns.
      std_return: Their standard deviation over the episodes.
      mean_length: Mean of the lengths, env steps.
      num_episodes: How many.
      success_rate: Fraction of successes; None where the environment does not say.
    """

    mean_return: float
    std_return: float
    mean_length: float
    num_episodes: int
    success_rate: float | None

    def __str__(self) -> str:
        """Formats it in one line."""
        success = (
            "" if self.success_rate is None else f"success {self.success_rate:.0%}, "
        )
        return (
            f"return {self.mean_return:.3f} ± {self.std_return:.3f}, "
            f"length {self.mean_length:.1f}, {success}{self.num_episodes} episodes"
        )


def success_rate(results: Iterable[EpisodeResult]) -> float | None:
    """Returns the fraction of successes; None where no environment says."""
    flags = [r.is_success for r in results if r.is_success is not None]
    return float(np.mean(flags)) if flags else None


def summarize(results: Sequence[EpisodeResult]) -> Summary:
    """Summarizes at least one episode."""
    returns = [result.episode_return for result in results]
    return Summary(
        mean_return=float(np.mean(returns)),
        std_return=float(np.std(returns)),
        mean_length=float(np.mean([result.length for result in results])),
        num_episodes=len(results),
        success_rate=success_rate(results),
    )


def evaluate(
    env: py_environment.PyEnvironment,
    policy: Policy,
    users_observers: Observers,
    num_episodes: int,
    on_episode: Callable[[], None] = lambda: None,
) -> Summary:
    """Runs episodes and summarizes them.

    Args:
      env: The environment.
      policy: Acts.
      users_observers: From `eval_observers_ctor`; those that can be are reset.
      num_episodes: How many, at least one.
      on_episode: Called after each.
    """
    observers.reset(users_observers)
    watchers = observers.make_watchers(users_observers)
    results = []
    for _ in range(num_episodes):
        results.append(run_episode(env, policy, watchers))
        on_episode()
    return summarize(results)


class Evaluator:
    """Evaluates the greedy policy when that is due."""

    def __init__(
        self,
        params: Hyperparameters,
        env: py_environment.PyEnvironment,
        policy: Policy,
        users_observers: Observers,
        status: StatusWriter[CollectWorkerStatus],
    ) -> None:
        """Evaluates nothing yet.

        Args:
          params: Period and episodes of an evaluation.
          env: The environment to evaluate in.
          policy: The greedy policy.
          users_observers: The user's, of evaluation episodes.
          status: The worker's; remembers the last evaluation over restarts.
        """
        self._params, self._env, self._policy = params, env, policy
        self._observers, self._status = users_observers, status

    def is_due(self, train_step: int) -> bool:
        """Returns whether the policy of a train step is to be evaluated."""
        period = self._params.eval_period_itrs
        if not period:
            return False
        iteration = self._params.iteration_at(train_step)
        last = self._status.value.last_eval_iteration
        if last is None or iteration // period > last // period:
            return True
        # The final policy is evaluated in any case.
        return train_step >= self._params.total_train_steps and iteration > last

    def evaluate(self, train_step: int) -> Summary:
        """Evaluates the policy of a train step."""
        self._status.enter(Phase.EVALUATING)
        summary = evaluate(
            self._env,
            self._policy,
            self._observers,
            self._params.n_eval_episodes,
            self._count_episode,
        )
        logger.info("evaluation at train step %d: %s", train_step, summary)
        with self._status.edit(write_now=True) as status:
            status.last_eval_iteration = self._params.iteration_at(train_step)
            status.eval_train_step = train_step
            status.eval_return = summary.mean_return
            status.eval_success_rate = summary.success_rate
            best = status.best_eval_return
            if best is None or not summary.mean_return <= best:  # It may be NaN.
                status.best_eval_return = summary.mean_return
                status.best_eval_train_step = train_step
        return summary

    def _count_episode(self) -> None:
        with self._status.edit() as status:
            status.worker_eval_episodes += 1
