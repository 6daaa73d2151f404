"""One episode, an env step at a time: from a reset to a last time step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

from tf_agents.environments import py_environment
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting.policies import Policy
from tfagents_system.environments import success


class Transition(NamedTuple):
    """One env step.

    Attributes:
      time_step: Before the action.
      action: Nest of arrays, as the environment got it.
      next_time_step: What the environment returned.
    """

    time_step: ts.TimeStep
    action: Any
    next_time_step: ts.TimeStep


# Gets the parts of each transition.
Watcher = Callable[[ts.TimeStep, Any, ts.TimeStep], None]


@dataclasses.dataclass(frozen=True)
class EpisodeResult:
    """The outcome of an episode.

    Attributes:
      episode_return: Sum of the rewards, not discounted.
      length: Env steps.
      is_success: Whether it reached its goal; None where the environment does not say.
    """

    episode_return: float
    length: int
    is_success: bool | None = None


class Episode:
    """An episode under way.

    Attributes:
      is_over: Whether the environment has returned a last time step.
    """

    def __init__(self, env: py_environment.PyEnvironment) -> None:
        """Resets the environment.

        Args:
          env: The environment, unbatched; it must end its episodes.
        """
        self._env = env
        self._time_step = env.reset()
        self._return, self._length = 0.0, 0
        self.is_over = bool(self._time_step.is_last())

    def step(self, policy: Policy) -> Transition:
        """Takes an env step with the policy's action."""
        time_step = self._time_step
        action = policy.act(time_step)
        next_time_step = self._env.step(action)
        self._time_step = next_time_step
        self._return += float(next_time_step.reward)
        self._length += 1
        self.is_over = bool(next_time_step.step_type == ts.StepType.LAST)
        return Transition(time_step, action, next_time_step)

    def result(self) -> EpisodeResult:
        """Returns the outcome of the episode; call it when it is over."""
        is_success = success.read_success(self._env, self._time_step)
        return EpisodeResult(self._return, self._length, is_success)


def run_episode(
    env: py_environment.PyEnvironment,
    policy: Policy,
    watchers: Iterable[Watcher] = (),
    on_reset: Callable[[], None] = lambda: None,
) -> EpisodeResult:
    """Runs one episode to its end.

    It always resets first, so it does not matter whether the environment would.

    Args:
      env: The environment, unbatched; it must end its episodes.
      policy: Acts.
      watchers: Each is called with `(time_step, action, next_time_step)`.
      on_reset: Called after the reset.

    Returns:
      The return, the length, and whether the episode was a success.
    """
    watchers = tuple(watchers)
    policy.reset()
    episode = Episode(env)
    on_reset()
    while not episode.is_over:
        transition = episode.step(policy)
        for watch in watchers:
            watch(*transition)
    return episode.result()
