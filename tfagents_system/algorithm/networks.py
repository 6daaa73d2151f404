"""The default networks: TF-Agents' own, with the archived system's settings."""

from __future__ import annotations

import functools
import math
from typing import Any, Callable

import tensorflow as tf
from tf_agents.agents.ddpg import critic_network
from tf_agents.agents.sac import sac_agent
from tf_agents.networks import (
    actor_distribution_network,
    encoding_network,
    network,
    normal_projection_network,
)

from tfagents_system.settings.hyperparameters import Hyperparameters


class FlatFloats(tf.keras.layers.Layer):
    """An array of any dtype and shape (B, ...) as float32 of shape (B, n)."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Casts and flattens."""
        size = math.prod(inputs.shape[1:])
        return tf.reshape(tf.cast(inputs, tf.float32), (-1, size))


class Field(tf.keras.layers.Layer):
    """The combiner that takes one field of an observation and leaves out the others."""

    def __init__(self, field: str, **kwargs: Any) -> None:
        """Keeps the field's name.

        Args:
          field: Key of the observation, a dictionary; an array is below it.
          **kwargs: Of Keras.
        """
        super().__init__(**kwargs)
        self.field = field

    def call(self, inputs: Any) -> tf.Tensor:
        """Returns the field as float32 of shape (B, n)."""
        return FlatFloats()(inputs[self.field])

    def get_config(self) -> dict[str, Any]:
        """Returns what copies are made of."""
        return {**super().get_config(), "field": self.field}


def make_image_encoder(activation: str) -> tf.keras.Sequential:
    """Builds convolutions from uint8 of shape (B, height, width, channels) to a vector.

    Filters, sizes and strides are those of Mnih et al. (2015), "Human-level control
    through deep reinforcement learning", padded as in Dopamine: without padding they
    need 36 x 36 pixels.

    Args:
      activation: Keras activation of the convolutions.
    """
    layers = [tf.keras.layers.Rescaling(1 / 255)]
    layers += [
        tf.keras.layers.Conv2D(
            filters, size, stride, padding="same", activation=activation
        )
        for filters, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1))
    ]
    return tf.keras.Sequential([*layers, tf.keras.layers.Flatten()])


def complete_preprocessing(
    params: Hyperparameters, observation_spec: Any
) -> tuple[Any, Any]:
    """Completes what the user gave to turn an observation into one float vector.

    Args:
      params: `preprocessing_layers`, `preprocessing_combiner`, and the `activation` of
        convolutions.
      observation_spec: Nest of TensorSpec.

    Returns:
      Layers and combiner; both None where the observation is one float vector.
    """
    layers, combiner = params.preprocessing_layers, params.preprocessing_combiner
    if layers is None and combiner is None:
        if (
            not tf.nest.is_nested(observation_spec)
            and observation_spec.dtype == tf.float32
            and observation_spec.shape.rank == 1
        ):
            return None, None

        def make_layer(spec: tf.TensorSpec) -> tf.keras.layers.Layer:
            if spec.dtype == tf.uint8 and spec.shape.rank == 3:
                return make_image_encoder(params.activation)
            return FlatFloats()

        layers = tf.nest.map_structure(make_layer, observation_spec)
    if combiner is None and len(tf.nest.flatten(observation_spec)) > 1:
        combiner = tf.keras.layers.Concatenate()
    return layers, combiner


# Output of an actor: a squashed normal, log(std) clipped as in the SAC authors' code.
make_projection = functools.partial(
    normal_projection_network.NormalProjectionNetwork,
    mean_transform=None,
    state_dependent_std=True,
    # The archived system's; TF-Agents' default is 0.1.
    init_means_output_factor=0.5,
    std_transform=sac_agent.std_clip_transform,
    scale_distribution=True,
)


def make_actor(
    params: Hyperparameters, observation_spec: Any, action_spec: Any
) -> network.DistributionNetwork:
    """Builds an MLP with a tanh-squashed normal distribution over actions.

    Args:
      params: Sizes of the hidden layers, activation and preprocessing. Keras layers
        among them are copied.
      observation_spec: Nest of TensorSpec.
      action_spec: BoundedTensorSpec with finite bounds.

    Returns:
      The network; log(std) is clipped to [-20, 2].
    """
    layers, combiner = complete_preprocessing(params, observation_spec)
    return actor_distribution_network.ActorDistributionNetwork(
        observation_spec,
        action_spec,
        preprocessing_layers=layers,
        preprocessing_combiner=combiner,
        fc_layer_params=tuple(params.actor_fc_layer_params),
        activation_fn=tf.keras.activations.get(params.activation),
        continuous_projection_net=make_projection,
    )


class EncodingCritic(network.Network):
    """A critic behind layers that make one vector of an observation."""

    def __init__(
        self,
        input_tensor_spec: Any,
        make_vector_critic: Callable[[tf.TensorSpec], network.Network],
        preprocessing_layers: Any,
        preprocessing_combiner: Any,
        name: str = "EncodingCritic",
    ) -> None:
        """Builds the critic for the encoded observation.

        Args:
          input_tensor_spec: `(observation_spec, action_spec)`.
          make_vector_critic: Builds a critic for one vector in place of the
            observation; called for each copy.
          preprocessing_layers: Nest of Keras layers like the observation, or None;
            EncodingNetwork copies layers, so critics share no weights.
          preprocessing_combiner: Keras layer from what these return, or from the
            observation, to one tensor, or None.
          name: Name of the network.
        """
        encoder = encoding_network.EncodingNetwork(
            input_tensor_spec[0],
            preprocessing_layers=preprocessing_layers,
            preprocessing_combiner=preprocessing_combiner,
        )
        critic = make_vector_critic(encoder.create_variables())
        super().__init__(input_tensor_spec, state_spec=critic.state_spec, name=name)
        self._encoder, self._critic = encoder, critic

    def call(
        self,
        inputs: Any,
        step_type: Any = (),
        network_state: Any = (),
        training: bool = False,
    ) -> Any:
        """Returns Q of shape (B,), or (B, T) of sequences, and the critic's state."""
        observation, action = inputs
        encoded, _ = self._encoder(observation, training=training)
        return self._critic(
            (encoded, action),
            step_type=step_type,
            network_state=network_state,
            training=training,
        )


def with_preprocessing(
    make_vector_critic: Callable[[tf.TensorSpec], network.Network],
    params: Hyperparameters,
    observation_spec: Any,
    action_spec: Any,
) -> network.Network:
    """Builds a critic for any observation from one for vectors.

    Args:
      make_vector_critic: Builds it for the spec of a vector.
      params: Preprocessing, as for `make_actor`.
      observation_spec: Nest of TensorSpec.
      action_spec: BoundedTensorSpec.
    """
    layers, combiner = complete_preprocessing(params, observation_spec)
    if layers is None and combiner is None:
        return make_vector_critic(observation_spec)
    return EncodingCritic(
        (observation_spec, action_spec), make_vector_critic, layers, combiner
    )


def make_critic(
    params: Hyperparameters, observation_spec: Any, action_spec: Any
) -> network.Network:
    """Builds an MLP critic: (observation, action) in, Q of shape (B,) out.

    Args:
      params: Sizes of the hidden layers, activation and preprocessing.
      observation_spec: Nest of TensorSpec.
      action_spec: BoundedTensorSpec.
    """

    def make_vector_critic(spec: tf.TensorSpec) -> network.Network:
        return critic_network.CriticNetwork(
            (spec, action_spec),
            joint_fc_layer_params=tuple(params.critic_joint_fc_layer_params),
            activation_fn=tf.keras.activations.get(params.activation),
        )

    return with_preprocessing(make_vector_critic, params, observation_spec, action_spec)
