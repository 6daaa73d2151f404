"""The metrics of the archived framework, and episodes that are run to compute some."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

import numpy as np
from tf_agents.drivers import py_driver
from tf_agents.environments import py_environment
from tf_agents.metrics import py_metric, py_metrics
from tf_agents.policies import py_policy
from tf_agents.trajectories import time_step as ts


class SuccessRateMetric(py_metrics.StreamingMetric):
    """The fraction of successes among the last episodes; observes transitions.

    An episode is a success if `observation["aux"]["successful"]` is 1 at its end.
    """

    def __init__(
        self,
        name: str = "SuccessRate",
        buffer_size: int = 10,
        batch_size: int | None = None,
    ) -> None:
        """Has seen no episode yet.

        Args:
          name: Name of the metric.
          buffer_size: How many of the last episodes count.
          batch_size: Environments side by side; not needed, for the steps say it.
        """
        super().__init__(name, buffer_size, batch_size)

    def call(self, transition: Any) -> None:
        """Takes `(time_step, policy_step, next_time_step)`, batched or not."""
        self._batched_call(transition)

    def _batched_call(self, transition: Any) -> None:
        _, _, next_time_step = transition
        ends = np.ravel(next_time_step.step_type == ts.StepType.LAST)
        if ends.any():
            successful = np.ravel(next_time_step.observation["aux"]["successful"])
            self.add_to_buffer(successful[ends] == 1)

    def _reset(self, batch_size: int) -> None:
        """Has nothing to reset but the buffer: only last steps count."""


class StepsWrittenMetric(py_metrics.AverageEpisodeLengthMetric):
    """The env steps of those of the last episodes that were long enough to be written.

    A sequence of the replay has a length, and shorter episodes did not get into it. It
    observes trajectories.
    """

    def __init__(
        self,
        name: str = "StepsWritten",
        min_length_to_write: int = 2,
        buffer_size: int = 10,
        batch_size: int | None = None,
    ) -> None:
        """Has seen no episode yet.

        Args:
          name: Name of the metric.
          min_length_to_write: Env steps of the shortest episode that counts.
          buffer_size: How many of the last episodes count, short ones among them.
          batch_size: Environments side by side; by default the first step says it.
        """
        self._min_length_to_write = min_length_to_write
        super().__init__(name, buffer_size, batch_size)

    def add_to_buffer(self, values: Any) -> None:
        """Adds the lengths of episodes that have ended."""
        lengths = np.asarray(values)
        is_written = lengths >= self._min_length_to_write
        super().add_to_buffer(np.where(is_written, lengths, 0))

    def result(self) -> np.float32:
        """Returns the sum of the lengths; 0 before the first episode has ended."""
        if not self.data:
            return np.float32(0)
        return np.float32(self.data.mean(np.float64) * len(self.data))


def compute(
    metrics: Iterable[py_metric.PyStepMetric],
    transition_metrics: Iterable[py_metric.PyMetric],
    environment: py_environment.PyEnvironment,
    policy: py_policy.PyPolicy,
    num_episodes: int = 1,
) -> collections.OrderedDict[str, Any]:
    """Runs episodes, and computes metrics over them.

    Each episode begins with a reset, whether or not the environment resets itself.

    Args:
      metrics: Observe trajectories; they are reset first.
      transition_metrics: Observe `(time_step, policy_step, next_time_step)`; they are
        reset first.
      environment: The environment, unbatched; it must end its episodes.
      policy: Acts in it.
      num_episodes: How many.

    Returns:
      The result of each metric, by its name.
    """
    metrics, transition_metrics = list(metrics), list(transition_metrics)
    for metric in metrics + transition_metrics:
        metric.reset()
    driver = py_driver.PyDriver(
        environment,
        policy,
        observers=metrics,
        transition_observers=transition_metrics,
        max_episodes=1,
        end_episode_on_boundary=False,
    )
    for _ in range(num_episodes):
        driver.run(
            environment.reset(),
            policy.get_initial_state(environment.batch_size or 1),
        )
    return collections.OrderedDict(
        (metric.name, metric.result()) for metric in metrics + transition_metrics
    )
