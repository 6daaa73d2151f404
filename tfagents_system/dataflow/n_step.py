"""Returns over several steps, in place of single rewards.

With n > 1 a transition leads n env steps ahead: rewards reach the critic n times as
fast, at the price of some off-policy error (Sutton, 1988; used with replay by Hessel et
al., "Rainbow", 2018).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable

from tf_agents.trajectories import time_step as ts

# Takes time_step, action, reward, discount and next observation.
Write = Callable[[ts.TimeStep, Any, float, float, Any], None]


class NStepWriter:
    """Gathers the steps of an episode and passes on one n-step transition for each.

    For the step at t, m = min(n, steps left in the episode):

        reward = sum of discount_1 ... discount_k * gamma^k * reward_{t+k}, k < m
        discount = discount_1 ... discount_m * gamma^(m-1)

    so that `reward + gamma * discount * Q(next)` is the m-step target. With n = 1 it is
    the step itself.
    """

    def __init__(self, num_steps: int, gamma: float, write: Write) -> None:
        """Begins between two episodes.

        Args:
          num_steps: n, env steps.
          gamma: Discount factor of the return.
          write: Takes the transitions, in their order.
        """
        self._num_steps = num_steps
        self._gamma = gamma
        self._write = write
        self._steps: deque[tuple[ts.TimeStep, Any, ts.TimeStep]] = deque()

    def add(
        self, time_step: ts.TimeStep, action: Any, next_time_step: ts.TimeStep
    ) -> None:
        """Adds the next step of the episode; after its last one, nothing is left."""
        if time_step.step_type == ts.StepType.FIRST:
            self._steps.clear()  # Of an episode that was cut short.
        self._steps.append((time_step, action, next_time_step))
        if next_time_step.step_type == ts.StepType.LAST:
            while self._steps:
                self._pass_on()
        elif len(self._steps) == self._num_steps:
            self._pass_on()

    def _pass_on(self) -> None:
        reward, discount = 0.0, 1.0
        for index, (_, _, following) in enumerate(self._steps):
            discount *= self._gamma if index else 1.0
            reward += discount * following.reward
            discount *= following.discount
        time_step, action, _ = self._steps.popleft()
        self._write(time_step, action, reward, discount, following.observation)
