"""What acts: NumPy arrays in, an action out.

The standard actor is a NumPy forward pass, forty times cheaper than the same network
in TensorFlow. Any other network runs in TensorFlow, as one compiled function.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tf_agents.policies import (
    actor_policy,
    greedy_policy,
    py_policy,
    py_tf_eager_policy,
    tf_policy,
)
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting.numpy_actor import NotStandard, NumpyActor, NumpyPolicy
from tfagents_system.algorithm.normalization import NormalizingActorPolicy
from tfagents_system.algorithm.packed_variables import PackedVariables

logger = logging.getLogger(__name__)


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


class RandomPolicy:
    """Draws actions uniformly within their bounds; for the warm-up."""

    weights: PackedVariables | None = None

    def __init__(self, action_spec: Any, generator: np.random.Generator) -> None:
        """Keeps what it draws from.

        Args:
          action_spec: Nest of BoundedArraySpec with finite bounds.
          generator: Draws the actions.
        """
        self._action_spec = action_spec
        self._generator = generator

    def reset(self) -> None:
        """Does nothing: there is no state."""

    def refresh(self, packed: NDArray[np.uint8] | None = None) -> None:
        """Does nothing: there are no weights."""

    def act(self, time_step: ts.TimeStep) -> Any:
        """Returns an action, whatever the time step."""
        return tf.nest.map_structure(self._sample, self._action_spec)

    def _sample(self, spec: array_spec.BoundedArraySpec) -> NDArray[Any]:
        action: NDArray[Any] = self._generator.uniform(
            spec.minimum, spec.maximum, spec.shape
        ).astype(spec.dtype)
        return action


def make_policy(policy: tf_policy.TFPolicy, generator: np.random.Generator) -> Policy:
    """Finds the fastest way to act as a TF-Agents policy does.

    Args:
      policy: An agent's `collect_policy`, or a GreedyPolicy around it.
      generator: Samples the actions of the standard actor.

    Returns:
      A NumPy forward pass where the policy is the standard actor, otherwise one
      compiled function, with a line in the log that says why.
    """
    is_greedy = type(policy) is greedy_policy.GreedyPolicy
    inner = policy.wrapped_policy if is_greedy else policy
    try:
        if type(inner) not in (actor_policy.ActorPolicy, NormalizingActorPolicy):
            raise NotStandard(f"the policy is of type {type(inner).__name__}")
        return NumpyPolicy(NumpyActor.of(inner), None if is_greedy else generator)
    except NotStandard as reason:
        logger.info(
            "acting in TensorFlow, about 0.5 ms a step slower than in NumPy: %s", reason
        )
    return TFAgentsPolicy(
        py_tf_eager_policy.PyTFEagerPolicy(policy, use_tf_function=True)
    )
