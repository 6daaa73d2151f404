"""The SAC agent and what the learner measures of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.agents.sac import sac_agent
from tf_agents.networks import network
from tf_agents.policies import tf_policy
from tf_agents.trajectories import trajectory
from tf_agents.utils import common, object_identity

from tfagents_system.algorithm.losses import CRITIC_LOSSES
from tfagents_system.algorithm.normalization import (
    NormalizingActorPolicy,
    ObservationNormalizer,
)
from tfagents_system.settings.hyperparameters import Execution, Hyperparameters

DEFAULT_EXECUTION = Execution()


class Update(NamedTuple):
    """A part of a gradient step.

    Attributes:
      name: Its name.
      loss_fn: Returns the loss of a shard.
      variables: What it changes.
      optimizer: What changes it.
    """

    name: str
    loss_fn: Callable[[Any], tf.Tensor]
    variables: Sequence[tf.Variable]
    optimizer: Any


class ShardedSacAgent(sac_agent.SacAgent):
    """SacAgent whose gradients are computed in parallel, for shards of the batch.

    The shards' losses and gradients are averaged, so the update is SacAgent's. The
    shards are independent parts of one TensorFlow graph: they run side by side with as
    many inter-op threads, where the ops of one batch mostly wait for each other.

    With a normalizer, all networks get normalized observations: the agent normalizes
    each batch before the losses see it, and the policies that act do it themselves.

    Attributes:
      num_shards: Parts of the batch.
      normalizer: Normalizes observations, or None.
    """

    # How many times the losses of one gradient step have sampled actions.
    _num_sampled: int = 0

    def __init__(
        self,
        *args: Any,
        normalizer: ObservationNormalizer | None = None,
        execution: Execution = DEFAULT_EXECUTION,
        **kwargs: Any,
    ) -> None:
        """Builds a SacAgent.

        Args:
          *args: SacAgent's.
          normalizer: Normalizes observations, or None.
          execution: Number of shards, and the seed of the losses' noise.
          **kwargs: SacAgent's.
        """
        self.num_shards = execution.num_batch_shards
        self._noise_seed = execution.noise_seed
        super().__init__(*args, **kwargs)
        self.normalizer = normalizer
        # SacAgent's own policies are for its losses, which see what is normalized.
        self._acting_policy = normalizer and NormalizingActorPolicy(
            self.time_step_spec,
            self.action_spec,
            actor_network=self._actor_network,
            observation_normalizer=normalizer,
        )

    @property
    def policy(self) -> tf_policy.TFPolicy:
        """The policy, which takes observations as they are."""
        return self._acting_policy or super().policy

    @property
    def collect_policy(self) -> tf_policy.TFPolicy:
        """The same policy: SAC explores by sampling from it."""
        return self._acting_policy or super().collect_policy

    def normalize(self, transition: trajectory.Transition) -> trajectory.Transition:
        """Returns transitions with the observations that the networks expect."""
        if self.normalizer is None:
            return transition
        steps = (transition.time_step, transition.next_time_step)
        time_step, next_time_step = (
            step._replace(observation=self.normalizer.normalize(step.observation))
            for step in steps
        )
        return transition._replace(time_step=time_step, next_time_step=next_time_step)

    def _loss(
        self, experience: Any, weights: Any = None, training: bool = False
    ) -> Any:
        """Returns the losses; see SacAgent."""
        transition = self.normalize(self._as_transition(experience))
        return super()._loss(transition, weights, training)

    def _actions_and_log_probs(
        self, time_steps: Any, training: bool = False
    ) -> tuple[Any, tf.Tensor]:
        """Samples actions for the losses, by the noise seed if there is one."""
        if self._noise_seed is None:
            actions, log_pi = super()._actions_and_log_probs(time_steps, training)
            return actions, log_pi
        seed = tf.random.experimental.stateless_fold_in(
            tf.constant([self._noise_seed, self._num_sampled], tf.int32),
            tf.cast(self.train_step_counter, tf.int32),
        )
        self._num_sampled += 1
        policy = self._train_policy
        state = policy.get_initial_state(tf.shape(time_steps.step_type)[0])
        distribution = policy.distribution(time_steps, policy_state=state).action
        actions = tf.nest.map_structure(lambda d: d.sample(seed=seed), distribution)
        return actions, common.log_probability(distribution, actions, self.action_spec)

    def create_optimizer_variables(self) -> None:
        """Makes all that the optimizers keep; call it after a restore.

        TensorFlow traces a function again that has made variables: half of the time
        that the first gradient step takes.
        """
        for _, _, variables, optimizer in self._updates():
            # What apply_gradients calls; there is no public way but the step itself.
            optimizer._create_all_weights(variables)

    def _updates(self) -> tuple[Update, ...]:
        """Returns the parts of a gradient step in their order."""
        actor = self._actor_network.trainable_variables
        critics = object_identity.ObjectIdentitySet(
            self._critic_network_1.trainable_variables
            + self._critic_network_2.trainable_variables
        )
        return (
            Update("critic", self._critic_part, list(critics), self._critic_optimizer),
            Update("actor", self._actor_part, actor, self._actor_optimizer),
            Update("alpha", self._alpha_part, [self._log_alpha], self._alpha_optimizer),
        )

    def _train(self, experience: Any, weights: Any) -> tf_agent.LossInfo:
        """Takes one gradient step as SacAgent does; see there."""
        self._num_sampled = 0
        transition = self._as_transition(experience)
        if self.normalizer is not None:
            self.normalizer.update(transition.time_step.observation)
            transition = self.normalize(transition)
        shards, fractions = _split((transition, weights), self.num_shards)
        losses = {}
        for name, loss_fn, variables, optimizer in self._updates():
            loss, gradients = _average_gradients(loss_fn, shards, fractions, variables)
            message = f"{name.capitalize()} loss is inf or nan."
            tf.debugging.check_numerics(loss, message)
            self._apply_gradients(gradients, variables, optimizer)
            losses[f"{name}_loss"] = loss
        self.train_step_counter.assign_add(1)
        self._update_target()
        return tf_agent.LossInfo(
            loss=losses["critic_loss"] + losses["actor_loss"] + losses["alpha_loss"],
            extra=sac_agent.SacLossInfo(**losses),
        )

    def _critic_part(self, shard: Any) -> tf.Tensor:
        """Returns the critics' weighted loss of a shard: transitions, weights."""
        (time_steps, policy_steps, next_time_steps), weights = shard
        return self._critic_loss_weight * self.critic_loss(
            time_steps,
            policy_steps.action,
            next_time_steps,
            td_errors_loss_fn=self._td_errors_loss_fn,
            gamma=self._gamma,
            reward_scale_factor=self._reward_scale_factor,
            weights=weights,
            training=True,
        )

    def _actor_part(self, shard: Any) -> tf.Tensor:
        """Returns the actor's weighted loss of a shard."""
        transition, weights = shard
        return self._actor_loss_weight * self.actor_loss(
            transition.time_step, weights=weights, training=True
        )

    def _alpha_part(self, shard: Any) -> tf.Tensor:
        """Returns the weighted loss of log(alpha) of a shard: how alpha is learnt."""
        transition, weights = shard
        return self._alpha_loss_weight * self.alpha_loss(
            transition.time_step, weights=weights, training=True
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


def make_learning_rate(
    initial: float, schedule: str, total_train_steps: int
) -> float | tf.keras.optimizers.schedules.LearningRateSchedule:
    """Builds what an optimizer takes as its learning rate.

    An optimizer counts its gradient steps, as train_step does, and the count is saved
    with it: a resumed training goes on where the schedule was.

    Args:
      initial: Learning rate of the first gradient step.
      schedule: One of `hyperparameters.LEARNING_RATE_SCHEDULE`.
      total_train_steps: Gradient steps after which a schedule reaches 0.
    """
    schedules = tf.keras.optimizers.schedules
    if schedule == "linear":
        return schedules.PolynomialDecay(initial, total_train_steps, 0.0)
    if schedule == "cosine":
        return schedules.CosineDecay(initial, total_train_steps)
    return initial


def make_agent(
    params: Hyperparameters,
    time_step_spec: Any,
    action_spec: Any,
    *,
    actor_network: network.Network,
    critic_network: network.Network,
    train_step: tf.Variable,
    agent_class: type[ShardedSacAgent] = ShardedSacAgent,
) -> ShardedSacAgent:
    """Builds TF-Agents' SAC (https://arxiv.org/abs/1812.05905) with Adam throughout.

    Args:
      params: The hyperparameters of the agent.
      time_step_spec: TimeStep of TensorSpec.
      action_spec: BoundedTensorSpec of the action.
      actor_network: Observation in, squashed normal over actions out.
      critic_network: (observation, action) in, Q of shape (B,) out; it is copied.
      train_step: int64 variable that counts gradient steps.
      agent_class: The agent's class.
    """

    def adam(initial: float) -> tf.keras.optimizers.Optimizer:
        learning_rate = make_learning_rate(
            initial, params.learning_rate_schedule, params.total_train_steps
        )
        return tf.keras.optimizers.Adam(learning_rate)

    return agent_class(
        time_step_spec,
        action_spec,
        critic_network=critic_network,
        actor_network=actor_network,
        actor_optimizer=adam(params.actor_learning_rate),
        critic_optimizer=adam(params.critic_learning_rate),
        alpha_optimizer=adam(params.alpha_learning_rate),
        target_update_tau=params.target_update_tau,
        target_update_period=params.target_update_period,
        td_errors_loss_fn=CRITIC_LOSSES[params.critic_loss],
        gamma=params.discount,
        reward_scale_factor=params.reward_scale_factor,
        initial_log_alpha=params.sac_log_alpha,
        target_entropy=params.target_entropy,
        gradient_clipping=params.gradient_clipping,
        train_step_counter=train_step,
        normalizer=ObservationNormalizer(time_step_spec.observation)
        if params.normalize_observations
        else None,
        execution=params.execution,
    )


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
    if isinstance(agent, ShardedSacAgent):
        transition = agent.normalize(transition)
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
