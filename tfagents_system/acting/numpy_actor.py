"""The standard actor as a NumPy forward pass."""

from __future__ import annotations

import math
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

from tfagents_system.algorithm.networks import FlatFloats
from tfagents_system.algorithm.normalization import (
    NumpyNormalizer,
    ObservationNormalizer,
)
from tfagents_system.algorithm.packed_variables import PackedVariables

Array = NDArray[np.float32]

_erf = np.vectorize(math.erf, otypes=[np.float32])  # NumPy has none.


def _sigmoid(x: Array) -> Array:
    half: Array = np.tanh(x / 2) / 2  # Does not overflow.
    return half + np.float32(0.5)


ACTIVATIONS: dict[Any, Callable[[Array], Array]] = {
    tf.keras.activations.relu: lambda x: np.maximum(x, 0),
    tf.keras.activations.tanh: np.tanh,
    tf.keras.activations.linear: lambda x: x,
    tf.keras.activations.elu: lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    tf.keras.activations.gelu: lambda x: x / 2 * (1 + _erf(x / math.sqrt(2))),
    tf.keras.activations.sigmoid: _sigmoid,
    tf.keras.activations.softplus: lambda x: np.logaddexp(x, np.float32(0)),
    tf.keras.activations.swish: lambda x: x * _sigmoid(x),
}

# What sac_agent.std_clip_transform clips log(std) to.
MIN_LOG_STD, MAX_LOG_STD = -20, 2


class NumpyActor:
    """An MLP with a tanh-squashed normal distribution over one action vector.

    What `networks.make_actor` builds for observations without images, normalized or
    not, equal to the TF policy up to float32 rounding.

    Attributes:
      weights: The actor's variables, of which it has a copy.
    """

    def __init__(
        self,
        hidden_layers: list[tf.keras.layers.Dense],
        mean_layer: tf.keras.layers.Dense,
        log_std_layer: tf.keras.layers.Dense,
        action_spec: Any,
        normalizer: ObservationNormalizer | None = None,
        is_nested: bool = False,
    ) -> None:
        """Reads the weights.

        Args:
          hidden_layers: Dense layers with an activation of ACTIVATIONS.
          mean_layer: From the last hidden layer to the mean before squashing.
          log_std_layer: From the last hidden layer to log(std) before clipping.
          action_spec: BoundedTensorSpec of the action, a vector.
          normalizer: Normalizes observations, or None.
          is_nested: Whether the observation is a nest of arrays, to be flattened and
            concatenated.
        """
        self._normalizer = None if normalizer is None else NumpyNormalizer(normalizer)
        self._is_nested = is_nested
        layers = [*hidden_layers, mean_layer, log_std_layer]
        self.weights = PackedVariables(
            [weight for layer in layers for weight in (layer.kernel, layer.bias)]
        )
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
            or not isinstance(
                policy.observation_normalizer, (ObservationNormalizer, type(None))
            )
        ):
            return None
        is_nested = tf.nest.is_nested(network.input_tensor_spec)
        encoder, projection = network._encoder, network._projection_networks
        hidden_layers = [
            layer
            for layer in encoder._postprocessing_layers
            if type(layer) is not tf.keras.layers.Flatten
        ]
        if (
            not _only_flattens(encoder, is_nested)
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
            policy.observation_normalizer,
            is_nested,
        )

    @property
    def normalizes(self) -> bool:
        """Whether it normalizes observations."""
        return self._normalizer is not None

    def read_weights(self, packed: NDArray[np.uint8] | None = None) -> None:
        """Takes over what `weights.read` returned, or the weights as they are now."""
        arrays = self.weights.unpack(self.weights.read() if packed is None else packed)
        *self._hidden, self._mean, self._log_std = zip(arrays[::2], arrays[1::2])
        if self._normalizer is not None:
            self._normalizer.read_statistics()

    def _vector(self, observation: Any) -> Array:
        """Returns an observation as the first layer wants it."""
        if not self._is_nested and self._normalizer is None:
            return np.asarray(observation, np.float32).reshape(-1)
        arrays = tf.nest.flatten(observation)
        if self._normalizer is not None:
            arrays = self._normalizer.normalize(arrays)
        return np.concatenate([np.asarray(a, np.float32).reshape(-1) for a in arrays])

    def distribution(self, observation: Any) -> tuple[Array, Array]:
        """Returns mean and std of shape (action_dim,) before squashing.

        Args:
          observation: A single observation, a nest of arrays.
        """
        x = self._vector(observation)
        for (kernel, bias), activation in zip(self._hidden, self._activations):
            x = activation(x @ kernel + bias)
        kernel, bias = self._mean
        mean = x @ kernel + bias
        kernel, bias = self._log_std
        log_std = np.minimum(np.maximum(x @ kernel + bias, MIN_LOG_STD), MAX_LOG_STD)
        return mean, np.exp(log_std)

    def act(
        self, observation: Any, generator: np.random.Generator | None = None
    ) -> Array:
        """Returns an action within the bounds.

        Args:
          observation: A single observation, a nest of arrays.
          generator: Samples the action; None: the mode.
        """
        unsquashed, std = self.distribution(observation)
        if generator is not None:
            noise = generator.standard_normal(unsquashed.shape, np.float32)
            unsquashed = unsquashed + std * noise
        action = self._center + self._scale * np.tanh(unsquashed)
        # Rounding may lead past a bound.
        return np.minimum(np.maximum(action, self._low), self._high)


def _only_flattens(encoder: encoding_network.EncodingNetwork, is_nested: bool) -> bool:
    """Returns whether a network's preprocessing is to flatten and to concatenate."""
    layers, combiner = (
        encoder._flat_preprocessing_layers,
        encoder._preprocessing_combiner,
    )
    if layers is None:
        return combiner is None and not is_nested
    # A layer may have been given for a part that is a nest itself.
    return (
        len(layers) == len(tf.nest.flatten(encoder.input_tensor_spec))
        and all(type(layer) is FlatFloats for layer in layers)
        and (combiner is None or _concatenates(combiner))
    )


def _concatenates(combiner: tf.keras.layers.Layer) -> bool:
    return type(combiner) is tf.keras.layers.Concatenate and combiner.axis == -1
