"""The standard actor as a NumPy forward pass."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tf_agents.agents.sac import sac_agent
from tf_agents.networks import (
    actor_distribution_network,
    encoding_network,
    normal_projection_network,
)
from tf_agents.policies import actor_policy

Array = NDArray[np.float32]

ACTIVATIONS: dict[Any, Callable[[Array], Array]] = {
    tf.keras.activations.relu: lambda x: np.maximum(x, 0),
    tf.keras.activations.tanh: np.tanh,
    tf.keras.activations.linear: lambda x: x,
}

# What sac_agent.std_clip_transform clips log(std) to.
MIN_LOG_STD, MAX_LOG_STD = -20, 2


class NumpyActor:
    """An MLP with a tanh-squashed normal distribution over one action vector.

    What `networks.make_actor` builds for a single observation, equal to the TF policy
    up to float32 rounding.
    """

    def __init__(
        self,
        hidden_layers: list[tf.keras.layers.Dense],
        mean_layer: tf.keras.layers.Dense,
        log_std_layer: tf.keras.layers.Dense,
        action_spec: Any,
    ) -> None:
        """Reads the weights.

        Args:
          hidden_layers: Dense layers with an activation of ACTIVATIONS.
          mean_layer: From the last hidden layer to the mean before squashing.
          log_std_layer: From the last hidden layer to log(std) before clipping.
          action_spec: BoundedTensorSpec of the action, a vector.
        """
        self._layers = [*hidden_layers, mean_layer, log_std_layer]
        self._activations = [ACTIVATIONS[layer.activation] for layer in hidden_layers]
        low, high = (
            np.broadcast_to(bound, action_spec.shape).astype(np.float32)
            for bound in (action_spec.minimum, action_spec.maximum)
        )
        self._low, self._high = low, high
        self._center, self._scale = (high + low) / 2, (high - low) / 2
        self.read_weights()

    @classmethod
    def of(cls, policy: actor_policy.ActorPolicy) -> NumpyActor | None:
        """Returns the policy's actor in NumPy, or None if it is not the standard one.

        Args:
          policy: An ActorPolicy; its network must have been called once, as an
            agent's has.
        """
        network = policy._actor_network
        if (
            type(network) is not actor_distribution_network.ActorDistributionNetwork
            or type(network._encoder) is not encoding_network.EncodingNetwork
            or tf.nest.is_nested(network.input_tensor_spec)
            or policy.observation_normalizer is not None
        ):
            return None
        encoder, projection = network._encoder, network._projection_networks
        hidden_layers = [
            layer
            for layer in encoder._postprocessing_layers
            if type(layer) is not tf.keras.layers.Flatten
        ]
        if (
            encoder._preprocessing_nest is not None
            or encoder._flat_preprocessing_layers is not None
            or encoder._preprocessing_combiner is not None
            or type(projection) is not normal_projection_network.NormalProjectionNetwork
            or projection._sample_spec.shape.rank != 1
            or projection._std_transform is not sac_agent.std_clip_transform
            or not projection._scale_distribution
            or not projection._state_dependent_std
            or projection._means_projection_layer.activation
            is not tf.keras.activations.linear
            or not all(
                type(layer) is tf.keras.layers.Dense
                and layer.use_bias
                and layer.activation in ACTIVATIONS
                for layer in hidden_layers
            )
        ):
            return None
        return cls(
            hidden_layers,
            projection._means_projection_layer,
            projection._stddev_projection_layer,
            projection._sample_spec,
        )

    def read_weights(self) -> None:
        """Copies the weights as they are now."""
        *self._hidden, self._mean, self._log_std = (
            (np.array(layer.kernel), np.array(layer.bias)) for layer in self._layers
        )

    def distribution(self, observation: Array) -> tuple[Array, Array]:
        """Returns mean and std of shape (action_dim,) before squashing.

        Args:
          observation: A single observation.
        """
        x = observation.reshape(-1)
        for (kernel, bias), activation in zip(self._hidden, self._activations):
            x = activation(x @ kernel + bias)
        kernel, bias = self._mean
        mean = x @ kernel + bias
        kernel, bias = self._log_std
        log_std = np.minimum(np.maximum(x @ kernel + bias, MIN_LOG_STD), MAX_LOG_STD)
        return mean, np.exp(log_std)

    def act(
        self, observation: Array, generator: np.random.Generator | None = None
    ) -> Array:
        """Returns an action within the bounds.

        Args:
          observation: A single observation, float32.
          generator: Samples the action; None: the mode.
        """
        unsquashed, std = self.distribution(observation)
        if generator is not None:
            noise = generator.standard_normal(unsquashed.shape, np.float32)
            unsquashed = unsquashed + std * noise
        action = self._center + self._scale * np.tanh(unsquashed)
        # Rounding may lead past a bound.
        return np.minimum(np.maximum(action, self._low), self._high)
