"""What tests of agents share."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfagents_system.algorithm import sac
from tfagents_system.dataflow.rows import RowCodec


def trained_variables(agent: Any) -> list[tf.Variable]:
    """Returns the weights of all networks, targets included, and log(alpha)."""
    networks = (
        agent._actor_network,
        agent._critic_network_1,
        agent._critic_network_2,
        agent._target_critic_network_1,
        agent._target_critic_network_2,
    )
    variables = [v for network in networks for v in network.variables]
    return [*variables, agent._log_alpha]


def make_transitions(codec: RowCodec, count: int, discount: float) -> Any:
    """Returns transitions of Pendulum whose reward is 1 whatever the action."""
    rng = np.random.default_rng(0)
    packed = [
        codec.pack(
            rng.normal(size=3), rng.uniform(-2, 2, 1), 1.0, discount, rng.normal(size=3)
        )
        for _ in range(count)
    ]
    return codec.unpack(tuple(tf.constant(np.stack(column)) for column in zip(*packed)))


class WithoutNoise:
    """Replaces the sampled actions by the modes: two agents then see the same."""

    def _actions_and_log_probs(self, time_steps: Any, training: bool = False) -> Any:
        agent: Any = self
        policy = agent._train_policy if training else agent._policy
        distribution = policy.distribution(time_steps).action
        normal = distribution.input_distribution  # Before squashing.
        return distribution.mode(), normal.log_prob(normal.mean())


class ShardedWithoutNoise(WithoutNoise, sac.ShardedSacAgent):
    """The framework's agent."""
