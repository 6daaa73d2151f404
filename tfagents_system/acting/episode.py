"""One episode: an environment, a policy, and whoever watches.

Policies act on NumPy arrays here. The standard actor is a NumPy forward pass, forty
times cheaper than the same network in TensorFlow; any other runs as TF-Agents has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Callable, Protocol

import numpy as np
from numpy.typing import NDArray
from tf_agents.environments import py_environment
from tf_agents.policies import (
    actor_policy,
    greedy_policy,
    py_policy,
    py_tf_eager_policy,
    tf_policy,
)
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting.numpy_actor import NumpyActor
from tfagents_system.algorithm.normalization import NormalizingActorPolicy
from tfagents_system.algorithm.packed_variables import PackedVariables
from tfagents_system.environments import success
from tfagents_system.train_params_base import Observers

TransitionFn = Callable[[ts.TimeStep, Any, ts.TimeStep], None]


class Policy(Protocol):
    """What acts in an episode.

    Attributes:
      weights: All variables that it acts with, of which it has a copy; None: it reads
        variables as they are.
    """

    weights: PackedVariables | None

    def reset(self) -> None:
        """Begins an episode, with the newest weights."""

    def refresh(self, packed: NDArray[np.uint8] | None = None) -> None:
        """Takes over what `weights.read` returned, or the newest weights."""

    def act(self, time_step: ts.TimeStep) -> Any:
        """Returns the action, a nest of arrays without batch dimension."""


class NumpyPolicy:
    """The standard actor in NumPy."""

    def __init__(
        self, actor: NumpyActor, generator: np.random.Generator | None
    ) -> None:
        """Acts with a copy of the actor's weights.

        Args:
          actor: The actor.
          generator: Samples the actions; None: the greedy action.
        """
        self._actor = actor
        self._generator = generator
        # What it normalizes with is not in its weights.
        self.weights = None if actor.normalizes else actor.weights

    def reset(self) -> None:
        """Reads the actor's weights; there is no state."""
        self.refresh()

    def refresh(self, packed: NDArray[np.uint8] | None = None) -> None:
        """Takes over packed weights, or reads the actor's."""
        self._actor.read_weights(packed)

    def act(self, time_step: ts.TimeStep) -> NDArray[np.float32]:
        """Returns the action of shape (action_dim,)."""
        return self._actor.act(time_step.observation, self._generator)


class TFAgentsPolicy:
    """Any TF-Agents policy."""

    def __init__(self, policy: py_policy.PyPolicy) -> None:
        """Acts with the given policy, which keeps a state or not."""
        self._policy = policy
        self.weights: PackedVariables | None = None
        self._state = policy.get_initial_state(batch_size=1)

    def reset(self) -> None:
        """Begins an episode with the policy's initial state."""
        self._state = self._policy.get_initial_state(batch_size=1)

    def refresh(self, packed: NDArray[np.uint8] | None = None) -> None:
        """Does nothing: the policy acts with its variables themselves."""

    def act(self, time_step: ts.TimeStep) -> Any:
        """Returns the action."""
        step = self._policy.action(time_step, self._state)
        self._state = step.state
        return step.action


def make_policy(policy: tf_policy.TFPolicy, generator: np.random.Generator) -> Policy:
    """Finds the fastest way to act as a TF-Agents policy does.

    Args:
      policy: An agent's `collect_policy`, or a GreedyPolicy around it.
      generator: Samples the actions of the standard actor.

    Returns:
      A NumPy forward pass where the policy is the standard actor, else one compiled
      function.
    """
    is_greedy = type(policy) is greedy_policy.GreedyPolicy
    inner = policy.wrapped_policy if is_greedy else policy
    if type(inner) in (actor_policy.ActorPolicy, NormalizingActorPolicy):
        actor = NumpyActor.of(inner)
        if actor is not None:
            return NumpyPolicy(actor, None if is_greedy else generator)
    return TFAgentsPolicy(
        py_tf_eager_policy.PyTFEagerPolicy(policy, use_tf_function=True)
    )


@dataclasses.dataclass(frozen=True)
class EpisodeResult:
    """What an episode came to.

    Attributes:
      episode_return: Sum of the rewards, not discounted.
      length: Env steps.
      is_success: Whether it reached its goal; None where the environment does not say.
    """

    episode_return: float
    length: int
    is_success: bool | None = None


def run_episode(
    env: py_environment.PyEnvironment,
    policy: Policy,
    on_transition: Iterable[TransitionFn] = (),
    on_reset: Callable[[], None] | None = None,
) -> EpisodeResult:
    """Runs one episode, from a reset to a last time step.

    Always resets first, so it does not matter whether the environment would.

    Args:
      env: The environment, unbatched; must end its episodes.
      policy: Acts.
      on_transition: Each called with `(time_step, action, next_time_step)`.
      on_reset: Called after the reset.

    Returns:
      The return, the length, and whether the episode was a success.
    """
    watchers = tuple(on_transition)
    policy.reset()
    time_step = env.reset()
    if on_reset is not None:
        on_reset()
    episode_return = 0.0
    length = 0
    is_last = bool(time_step.is_last())
    while not is_last:
        action = policy.act(time_step)
        next_time_step = env.step(action)
        for watch in watchers:
            watch(time_step, action, next_time_step)
        episode_return += float(next_time_step.reward)
        length += 1
        time_step = next_time_step
        is_last = time_step.step_type == ts.StepType.LAST
    return EpisodeResult(episode_return, length, success.read_success(env, time_step))


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

    def watch(time_step: ts.TimeStep, action: Any, next_time_step: ts.TimeStep) -> None:
        step = policy_step.PolicyStep(action)
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
