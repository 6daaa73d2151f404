"""What tests of agents share."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


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
