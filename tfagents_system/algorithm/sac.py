"""The SAC agent and what the learner measures of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.agents.sac import sac_agent
from tf_agents.networks import network
from tf_agents.trajectories import trajectory
from tf_agents.utils import object_identity

from tfagents_system.algorithm.specs import Specs
from tfagents_system.train_params_base import TrainParamsBase


class ShardedSacAgent(sac_agent.SacAgent):
    """SacAgent whose gradients are computed in parallel, for shards of the batch.

    The shards' losses and gradients are averaged, so the update is SacAgent's. The
    shards are independent parts of one TensorFlow graph: they run side by side with as
    many inter-op threads, where the ops of one batch mostly wait for each other.

    Attributes:
      num_shards: Parts of the batch; set it before the first `train`.
    """

    num_shards: int = 1

    def _train(self, experience: Any, weights: Any) -> tf_agent.LossInfo:
        """Takes one gradient step as SacAgent does; see there."""
        transition = self._as_transition(experience)
        shards, fractions = _split((transition, weights), self.num_shards)

        def critic_loss(shard: Any) -> tf.Tensor:
            (time_steps, policy_steps, next_time_steps), shard_weights = shard
            return self._critic_loss_weight * self.critic_loss(
                time_steps,
                policy_steps.action,
                next_time_steps,
                td_errors_loss_fn=self._td_errors_loss_fn,
                gamma=self._gamma,
                reward_scale_factor=self._reward_scale_factor,
                weights=shard_weights,
                training=True,
            )

        def actor_loss(shard: Any) -> tf.Tensor:
            return self._actor_loss_weight * self.actor_loss(
                shard[0].time_step, weights=shard[1], training=True
            )

        def alpha_loss(shard: Any) -> tf.Tensor:
            return self._alpha_loss_weight * self.alpha_loss(
                shard[0].time_step, weights=shard[1], training=True
            )

        critic_variables = list(
            object_identity.ObjectIdentitySet(
                self._critic_network_1.trainable_variables
                + self._critic_network_2.trainable_variables
            )
        )
        losses = {}
        for name, loss_fn, variables, optimizer in (
            ("Critic", critic_loss, critic_variables, self._critic_optimizer),
            (
                "Actor",
                actor_loss,
                self._actor_network.trainable_variables,
                self._actor_optimizer,
            ),
            ("Alpha", alpha_loss, [self._log_alpha], self._alpha_optimizer),
        ):
            loss, gradients = _average_gradients(loss_fn, shards, fractions, variables)
            tf.debugging.check_numerics(loss, f"{name} loss is inf or nan.")
            self._apply_gradients(gradients, variables, optimizer)
            losses[name] = loss
        self.train_step_counter.assign_add(1)
        self._update_target()
        return tf_agent.LossInfo(
            loss=losses["Critic"] + losses["Actor"] + losses["Alpha"],
            extra=sac_agent.SacLossInfo(
                critic_loss=losses["Critic"],
                actor_loss=losses["Actor"],
                alpha_loss=losses["Alpha"],
            ),
        )


def _split(nest: Any, num_shards: int) -> tuple[list[Any], list[float]]:
    """Splits a nest of tensors along the batch dimension.

    Args:
      nest: Tensors of the same static batch size; None and scalars are repeated.
      num_shards: How many shards, at most the batch size.

    Returns:
      The shards, as equal in size as can be, and the fraction of the batch in each.
    """
    tensors = tf.nest.flatten(nest)
    batch_size = next(t.shape[0] for t in tensors if t is not None and t.shape.rank)
    num_shards = min(num_shards, batch_size)
    sizes = [
        batch_size // num_shards + (shard < batch_size % num_shards)
        for shard in range(num_shards)
    ]
    parts = [
        [tensor] * num_shards
        if tensor is None or not tensor.shape.rank
        else tf.split(tensor, sizes)
        for tensor in tensors
    ]
    shards = [tf.nest.pack_sequence_as(nest, list(shard)) for shard in zip(*parts)]
    return shards, [size / batch_size for size in sizes]


def _average_gradients(
    loss_fn: Callable[[Any], tf.Tensor],
    shards: Sequence[Any],
    fractions: Sequence[float],
    variables: Sequence[tf.Variable],
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns a loss and its gradients, averaged over the shards."""
    losses, gradients = [], []
    for shard, fraction in zip(shards, fractions):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = fraction * loss_fn(shard)
        losses.append(loss)
        gradients.append(tape.gradient(loss, variables))
    return tf.add_n(losses), [tf.add_n(parts) for parts in zip(*gradients)]


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
) -> ShardedSacAgent:
    """Builds TF-Agents' SAC (https://arxiv.org/abs/1812.05905) with Adam throughout.

    The arguments are the attributes of `TrainParamsBase` of the same meaning.
    """
    adam = tf.keras.optimizers.Adam
    return ShardedSacAgent(
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
