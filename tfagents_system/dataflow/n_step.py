"""Returns over several steps, in place of single rewards.

With n > 1 a transition leads n env steps ahead: rewards reach the critic n times as
fast, at the price of some off-policy error (Sutton, 1988; used with replay by Hessel et
al., "Rainbow", 2018).
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from tf_agents.trajectories import time_step as ts

from tfagents_system.settings.hyperparameters import Hyperparameters


class NStepTransition(NamedTuple):
    """A transition that leads up to n env steps ahead.

    Attributes:
      time_step: Before the action.
      action: Nest of arrays.
      reward: Discounted sum of the rewards on the way.
      discount: Weight of the return that follows, without one factor gamma.
      next_observation: Nest of arrays, at its end.
    """

    time_step: ts.TimeStep
    action: Any
    reward: float
    discount: float
    next_observation: Any


class NStep:
    """Gathers the steps of an episode and makes one n-step transition of each.

    For the step at t, m = min(n, steps left in the episode):

        reward = sum of discount_1 ... discount_k * gamma^k * reward_{t+k}, k < m
        discount = discount_1 ... discount_m * gamma^(m-1)

    so that `reward + gamma * discount * Q(next)` is the m-step target. With n = 1 it is
    the step itself.
    """

    def __init__(self, num_steps: int = 1, gamma: float = 1.0) -> None:
        """Begins between two episodes.

        Args:
          num_steps: n, env steps.
          gamma: Discount factor of the return.
        """
        self._num_steps = num_steps
        self._gamma = gamma
        self._steps: deque[tuple[ts.TimeStep, Any, ts.TimeStep]] = deque()

    @classmethod
    def of(cls, params: Hyperparameters) -> NStep:
        """Returns it as the hyperparameters say."""
        return cls(params.n_step_returns, params.discount)

    def add(
        self, time_step: ts.TimeStep, action: Any, next_time_step: ts.TimeStep
    ) -> list[NStepTransition]:
        """Adds the next step of the episode.

        Returns:
          The transitions that are complete now, in order: with the last step of the
          episode all that are left.
        """
        if time_step.step_type == ts.StepType.FIRST:
            self._steps.clear()  # Of an episode that was cut short.
        self._steps.append((time_step, action, next_time_step))
        if next_time_step.step_type == ts.StepType.LAST:
            return [self._complete() for _ in range(len(self._steps))]
        if len(self._steps) == self._num_steps:
            return [self._complete()]
        return []

    def _complete(self) -> NStepTransition:
        """Makes the transition of the oldest step, and drops that step."""
        reward, discount = 0.0, 1.0
        for index, (_, _, following) in enumerate(self._steps):
            discount *= self._gamma if index else 1.0
            reward += discount * following.reward
            discount *= following.discount
        time_step, action, _ = self._steps.popleft()
        return NStepTransition(
            time_step, action, reward, discount, following.observation
        )
