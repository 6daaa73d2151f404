"""The standard actor as a NumPy forward pass, and the policy that acts with it."""

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
from tf_agents.trajectories import time_step as ts

from tfagents_system.algorithm.networks import Field, FlatFloats
from tfagents_system.algorithm.normalization import (
    CLIP,
    EPSILON,
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


class NotStandard(Exception):
    """A policy cannot act in NumPy; the message says what is not standard about it."""


class NumpyNormalizer:
    """What `ObservationNormalizer.normalize` does, in NumPy."""

    def __init__(self, normalizer: ObservationNormalizer) -> None:
        """Reads the statistics.

        Args:
          normalizer: Whose statistics.
        """
        self._normalizer = normalizer
        self.read_statistics()

    def read_statistics(self) -> None:
        """Copies the statistics as they are now."""
        self._statistics = [
            (index, mean.numpy(), 1 / np.sqrt(variance.numpy() + EPSILON))
            for index, mean, variance in zip(
                self._normalizer.indices,
                self._normalizer.means,
                self._normalizer.variances,
            )
        ]

    def normalize(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Returns the arrays of one flattened observation, normalized."""
        arrays = list(arrays)
        for index, mean, scale in self._statistics:
            scaled = (arrays[index] - mean) * scale
            arrays[index] = np.minimum(np.maximum(scaled, -CLIP), CLIP)
        return arrays


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
        parts: list[int] | None = None,
    ) -> None:
        """Reads the weights.

        Args:
          hidden_layers: Dense layers with an activation of ACTIVATIONS.
          mean_layer: From the last hidden layer to the mean before squashing.
          log_std_layer: From the last hidden layer to log(std) before clipping.
          action_spec: BoundedTensorSpec of the action, a vector.
          normalizer: Normalizes observations, or None.
          parts: Which arrays of a nested observation, flattened, are concatenated;
            None: the observation is one array.
        """
        self._normalizer = None if normalizer is None else NumpyNormalizer(normalizer)
        self._parts = parts
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
    def of(cls, policy: actor_policy.ActorPolicy) -> NumpyActor:
        """Returns the policy's actor in NumPy.

        Args:
          policy: An ActorPolicy; its network must have been called once, as an
            agent's has.

        Raises:
          NotStandard: The actor is not one that `networks.make_actor` builds for
            observations without images.
        """
        network = policy._actor_network
        if (
            type(network) is not actor_distribution_network.ActorDistributionNetwork
            or type(network._encoder) is not encoding_network.EncodingNetwork
        ):
            raise NotStandard(f"the actor is of type {type(network).__name__}")
        normalizer = policy.observation_normalizer
        if not isinstance(normalizer, (ObservationNormalizer, type(None))):
            raise NotStandard(f"its normalizer is of type {type(normalizer).__name__}")
        parts = _parts(network._encoder)
        projection = network._projection_networks
        if not _is_standard(projection):
            raise NotStandard("its output is not the standard squashed normal")
        return cls(
            _hidden_layers(network._encoder),
            projection._means_projection_layer,
            projection._stddev_projection_layer,
            projection._sample_spec,
            normalizer,
            parts,
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
        """Returns an observation as the first layer takes it."""
        if self._parts is None and self._normalizer is None:
            return np.asarray(observation, np.float32).reshape(-1)
        arrays = tf.nest.flatten(observation)
        if self._normalizer is not None:
            arrays = self._normalizer.normalize(arrays)
        if self._parts is not None:
            arrays = [arrays[index] for index in self._parts]
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


def _hidden_layers(
    encoder: encoding_network.EncodingNetwork,
) -> list[tf.keras.layers.Dense]:
    """Returns the hidden layers of a network.

    Raises:
      NotStandard: A layer is not Dense, or its activation is not one of ACTIVATIONS.
    """
    hidden_layers = []
    for layer in encoder._postprocessing_layers:
        if type(layer) is tf.keras.layers.Flatten:
            continue
        if type(layer) is not tf.keras.layers.Dense or not layer.use_bias:
            raise NotStandard(f"it has a layer of type {type(layer).__name__}")
        if layer.activation not in ACTIVATIONS:
            name = getattr(layer.activation, "__name__", layer.activation)
            raise NotStandard(f"it has the activation {name}")
        hidden_layers.append(layer)
    return hidden_layers


def _is_standard(projection: Any) -> bool:
    """Returns whether an actor's output is what `networks.make_projection` makes."""
    return (
        type(projection) is normal_projection_network.NormalProjectionNetwork
        and projection._sample_spec.shape.rank == 1
        and projection._std_transform is sac_agent.std_clip_transform
        and projection._scale_distribution
        and projection._state_dependent_std
        and projection._means_projection_layer.activation is tf.keras.activations.linear
    )


def _parts(encoder: encoding_network.EncodingNetwork) -> list[int] | None:
    """Returns which arrays of the flattened observation a network joins.

    Returns:
      Their places; None where the observation is one array.

    Raises:
      NotStandard: Its preprocessing does more than to flatten and to concatenate.
    """
    spec = encoder.input_tensor_spec
    places = list(range(len(tf.nest.flatten(spec))))
    layers, combiner = (
        encoder._flat_preprocessing_layers,
        encoder._preprocessing_combiner,
    )
    if layers is None and type(combiner) is Field:
        field: list[int] = tf.nest.flatten(
            tf.nest.pack_sequence_as(spec, places)[combiner.field]
        )
        return field
    if layers is None and combiner is None and not tf.nest.is_nested(spec):
        return None
    # A layer may have been given for a part that is a nest itself.
    if (
        layers is not None
        and len(layers) == len(places)
        and all(type(layer) is FlatFloats for layer in layers)
        and (combiner is None or _concatenates(combiner))
    ):
        return places if tf.nest.is_nested(spec) else None
    raise NotStandard("its preprocessing does more than flatten and join")


def _concatenates(combiner: tf.keras.layers.Layer) -> bool:
    return type(combiner) is tf.keras.layers.Concatenate and combiner.axis == -1
