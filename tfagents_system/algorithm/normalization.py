"""Observations scaled to mean 0 and variance 1, by running statistics."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tf_agents.policies import actor_policy

from tfagents_system.errors import UserError

# As in Stable-Baselines3's VecNormalize.
CLIP = 10.0
EPSILON = 1e-8


def is_normalized(spec: tf.TensorSpec) -> bool:
    """Returns whether an array is normalized: floats, but no images."""
    return bool(spec.dtype.is_floating) and spec.shape.rank < 3


class ObservationNormalizer(tf.Module):
    """Mean and variance of each float of an observation; identity until updated.

    The learner updates them with each batch that it samples. An agent has a single
    normalizer in front of all its networks, so the target networks need no copy.

    Attributes:
      means: A variable for each array that is normalized, in the order of flatten.
      variances: The same of the variances.
      count: Observations that made them, int64.
    """

    def __init__(self, observation_spec: Any) -> None:
        """Begins with mean 0 and variance 1, which do not count.

        Args:
          observation_spec: Nest of TensorSpec, without batch dimension.

        Raises:
          UserError: There is nothing to normalize.
        """
        super().__init__(name="normalizer")
        specs = tf.nest.flatten(observation_spec)
        # Which arrays of the flattened observation.
        self.indices = tuple(i for i, spec in enumerate(specs) if is_normalized(spec))
        if not self.indices:
            raise UserError(
                "normalize_observations: the observation has no float vectors (images "
                "and integers are not normalized); set it to False"
            )
        chosen = [specs[index] for index in self.indices]
        self.means = [
            tf.Variable(tf.zeros(spec.shape, spec.dtype), trainable=False)
            for spec in chosen
        ]
        self.variances = [
            tf.Variable(tf.ones(spec.shape, spec.dtype), trainable=False)
            for spec in chosen
        ]
        self.count = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def acting_variables(self) -> list[tf.Variable]:
        """The variables that `normalize` reads."""
        return [*self.means, *self.variances]

    def update(self, observation: Any) -> None:
        """Adds a batch to the statistics.

        The update is that of Chan, Golub and LeVeque (1979), "Updating formulae and a
        pairwise algorithm for computing sample variances", written with increments:
        float32 sums would lose small batches after some million observations.

        Args:
          observation: Nest of tensors of shape (B, ...), or more outer dimensions.
        """
        flat = tf.nest.flatten(observation)
        outer_rank = flat[self.indices[0]].shape.rank - self.means[0].shape.rank
        outer_axes = list(range(outer_rank))
        added = tf.reduce_prod(
            tf.shape(flat[self.indices[0]], out_type=tf.int64)[:outer_rank]
        )
        count = self.count.assign_add(added)
        fraction = tf.cast(added / count, tf.float32)  # The division is float64.
        for index, mean, variance in zip(self.indices, self.means, self.variances):
            batch_mean, batch_variance = tf.nn.moments(flat[index], outer_axes)
            weight = tf.cast(fraction, mean.dtype)
            delta = batch_mean - mean
            between = (1 - weight) * tf.square(delta)
            variance.assign_add(weight * (batch_variance + between - variance))
            mean.assign_add(weight * delta)

    def normalize(self, observation: Any) -> Any:
        """Returns the observation with its floats normalized and clipped.

        Args:
          observation: Nest of tensors, with any outer dimensions.
        """
        flat = tf.nest.flatten(observation)
        for index, mean, variance in zip(self.indices, self.means, self.variances):
            scaled = (flat[index] - mean) * tf.math.rsqrt(variance + EPSILON)
            flat[index] = tf.clip_by_value(scaled, -CLIP, CLIP)
        return tf.nest.pack_sequence_as(observation, flat)


class NormalizingActorPolicy(actor_policy.ActorPolicy):
    """ActorPolicy that has the statistics among its variables, to publish and save."""

    def _variables(self) -> list[tf.Variable]:
        return [
            *super()._variables(),
            *self._observation_normalizer.acting_variables,
        ]
