"""The SAC agent and what the learner measures of it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.agents.sac import sac_agent
from tf_agents.networks import network
from tf_agents.trajectories import trajectory

from tfagents_system.algorithm.specs import Specs
from tfagents_system.train_params_base import TrainParamsBase


def make_agent(
    time_step_spec: Any,
    action_spec: Any,
    *,
    actor_network: network.Network,
    critic_network: network.Network,
    train_step: tf.Variable,
    discount: float,
    actor_learning_rate: float,
    critic_learning_rate: float,
    alpha_learning_rate: float,
    target_update_tau: float,
    target_update_period: int,
    gradient_clipping: float | None,
    initial_log_alpha: float,
    target_entropy: float | None,
    reward_scale_factor: float,
) -> sac_agent.SacAgent:
    """Builds TF-Agents' SAC (https://arxiv.org/abs/1812.05905) with Adam throughout.

    The arguments are the attributes of `TrainParamsBase` of the same meaning.
    """
    adam = tf.keras.optimizers.Adam
    return sac_agent.SacAgent(
        time_step_spec,
        action_spec,
        critic_network=critic_network,
        actor_network=actor_network,
        actor_optimizer=adam(actor_learning_rate),
        critic_optimizer=adam(critic_learning_rate),
        alpha_optimizer=adam(alpha_learning_rate),
        target_update_tau=target_update_tau,
        target_update_period=target_update_period,
        td_errors_loss_fn=tf.math.squared_difference,
        gamma=discount,
        reward_scale_factor=reward_scale_factor,
        initial_log_alpha=initial_log_alpha,
        target_entropy=target_entropy,
        gradient_clipping=gradient_clipping,
        train_step_counter=train_step,
    )


def build_agent(params: TrainParamsBase, specs: Specs) -> tf_agent.TFAgent:
    """Builds and initializes the user's agent with a fresh train step.

    Never set a global TensorFlow seed before this in a process that exports
    policies: the seed would be baked in, and all who load them would act alike.
    """
    train_step = tf.Variable(0, dtype=tf.int64, name="train_step", trainable=False)
    agent = params.agent_ctor(
        train_step, specs.observation, specs.action, specs.time_step
    )
    agent.initialize()
    return agent


def diagnose(
    agent: tf_agent.TFAgent, transition: trajectory.Transition
) -> dict[str, tf.Tensor]:
    """Measures what the losses do not tell.

    Args:
      agent: The agent; other agents than SacAgent give no measurements.
      transition: A batch of transitions, leaves of shape (B, ...).

    Returns:
      Scalars by name: alpha, and the mean Q values of both critics.
    """
    if not isinstance(agent, sac_agent.SacAgent):
        return {}
    inputs = (transition.time_step.observation, transition.action_step.action)
    # SacAgent has no public way to its critics.
    critics = (agent._critic_network_1, agent._critic_network_2)
    scalars = {
        f"Q/critic_{index}": tf.reduce_mean(
            critic(inputs, step_type=transition.time_step.step_type)[0]
        )
        for index, critic in enumerate(critics, start=1)
    }
    scalars["Losses/alpha"] = tf.exp(agent._log_alpha)
    return scalars
