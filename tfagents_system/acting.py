"""One episode: an environment, a policy, and whoever watches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Callable

from tf_agents.environments import py_environment
from tf_agents.policies import py_policy
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfagents_system.train_params_base import Observers

TransitionFn = Callable[[ts.TimeStep, policy_step.PolicyStep, ts.TimeStep], None]


@dataclasses.dataclass(frozen=True)
class EpisodeResult:
    """What an episode came to.

    Attributes:
      episode_return: Sum of the rewards, not discounted.
      length: Env steps.
    """

    episode_return: float
    length: int


def run_episode(
    env: py_environment.PyEnvironment,
    policy: py_policy.PyPolicy,
    on_transition: Iterable[TransitionFn] = (),
    on_reset: Callable[[], None] | None = None,
) -> EpisodeResult:
    """Runs one episode, from a reset to a last time step.

    Always resets first, so it does not matter whether the environment would.

    Args:
      env: The environment, unbatched; must end its episodes.
      policy: Acts on unbatched time steps.
      on_transition: Each called with `(time_step, policy_step, next_time_step)`.
      on_reset: Called after the reset.

    Returns:
      The return and length.
    """
    watchers = tuple(on_transition)
    time_step = env.reset()
    policy_state = policy.get_initial_state()
    if on_reset is not None:
        on_reset()
    episode_return = 0.0
    length = 0
    while not time_step.is_last():
        step = policy.action(time_step, policy_state)
        policy_state = step.state
        next_time_step = env.step(step.action)
        for watch in watchers:
            watch(time_step, step, next_time_step)
        episode_return += float(next_time_step.reward)
        length += 1
        time_step = next_time_step
    return EpisodeResult(episode_return, length)


def user_watchers(observers: Observers) -> list[TransitionFn]:
    """Adapts the user's observers to `run_episode`.

    Args:
      observers: What `train_observers_ctor` or `eval_observers_ctor` returned.

    Returns:
      One watcher that feeds them TF-Agents' types, or none if there are none. As
      TF-Agents' drivers do, observers and metrics also get the boundary trajectory
      that follows a last time step.
    """
    by_trajectory, by_transition, metrics = (
        list(group.values()) for group in observers
    )
    by_trajectory = by_trajectory + metrics
    if not by_trajectory and not by_transition:
        return []

    def watch(
        time_step: ts.TimeStep,
        step: policy_step.PolicyStep,
        next_time_step: ts.TimeStep,
    ) -> None:
        step_trajectory = trajectory.from_transition(time_step, step, next_time_step)
        for observer in by_trajectory:
            observer(step_trajectory)
        for observer in by_transition:
            observer((time_step, step, next_time_step))
        if next_time_step.is_last() and by_trajectory:
            boundary: Any = trajectory.from_transition(
                next_time_step, step, ts.restart(next_time_step.observation)
            )
            for observer in by_trajectory:
                observer(boundary)

    return [watch]
