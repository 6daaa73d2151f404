"""TF-Agents' DDPG critic, with an encoding network for each of its two inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.networks import encoding_network, network


def hidden_layers(activation_fn: Any, kernel_initializer: Any) -> dict[str, Any]:
    """Returns what hidden layers are made with: as in TF-Agents' DDPG critics.

    Args:
      activation_fn: Their activation.
      kernel_initializer: Their initializer, or None.
    """
    # Keras' newer one would give layers of the same shape the same weights.
    scaling = tf.compat.v1.keras.initializers.VarianceScaling
    initializer = kernel_initializer or scaling(1 / 3, "fan_in", "uniform")
    return {"activation_fn": activation_fn, "kernel_initializer": initializer}


def make_encoders(
    input_tensor_spec: Any, arguments: tuple[Any, Any], hidden: dict[str, Any]
) -> Any:
    """Builds the encoding network of the observation and that of the action.

    Args:
      input_tensor_spec: Their specs.
      arguments: For each the first ones of `EncodingNetwork` behind the spec.
      hidden: From `hidden_layers`.

    Returns:
      Both networks, and the specs of what they return.
    """
    encoders = tuple(
        encoding_network.EncodingNetwork(spec, *first, **hidden)
        for spec, first in zip(input_tensor_spec, arguments)
    )
    return encoders, tuple(encoder.create_variables() for encoder in encoders)


def value_layer(kernel_initializer: Any, activation: Any = None) -> Any:
    """Returns the layer that Q comes from: initialized as in the same critics.

    Args:
      kernel_initializer: Its initializer, or None.
      activation: Its activation.
    """
    initializer = kernel_initializer or tf.keras.initializers.RandomUniform(
        -0.003, 0.003
    )
    return tf.keras.layers.Dense(
        1, activation=activation, kernel_initializer=initializer, name="value"
    )


class EncodedCritic(network.Network):
    """(observation, action) in, Q out: both encoded, joined, and encoded together."""

    def __init__(
        self,
        input_tensor_spec: Any,
        encoders: Sequence[network.Network],
        joint_encoder: network.Network,
        q_layer: tf.keras.layers.Layer,
        name: str,
    ) -> None:
        """Takes the layers.

        Args:
          input_tensor_spec: Specs of observation and action.
          encoders: From `make_encoders`.
          joint_encoder: Encodes what these return.
          q_layer: From `value_layer`.
          name: Of the network.
        """
        super().__init__(
            input_tensor_spec, state_spec=joint_encoder.state_spec, name=name
        )
        self._encoders, self._joint_encoder = encoders, joint_encoder
        self._q_layer = q_layer

    def call(
        self,
        inputs: Any,
        step_type: Any = (),
        network_state: Any = (),
        training: bool = False,
    ) -> Any:
        """Returns Q of shape (B,), or (B, T) of sequences, and the state."""
        encoded = tuple(
            encoder(value, training=training)[0]
            for encoder, value in zip(self._encoders, inputs)
        )
        joint, network_state = self._joint_encoder(
            encoded,
            step_type=step_type,
            network_state=network_state,
            training=training,
        )
        return tf.squeeze(self._q_layer(joint), -1), network_state


class CriticNetwork(EncodedCritic):
    """(observation, action) in, Q of shape (B,) out.

    Observation and action are encoded, joined, and go through hidden layers. The
    arguments `observation_...` and `action_...` are those of TF-Agents'
    `EncodingNetwork` for the one and the other; it copies the Keras layers it gets.
    """

    def __init__(
        self,
        input_tensor_spec: Any,
        observation_preprocessing_layers: Any = None,
        observation_preprocessing_combiner: Any = None,
        observation_conv_layer_params: Sequence[Any] | None = None,
        observation_fc_layer_params: Sequence[int] | None = None,
        observation_dropout_layer_params: Sequence[Any] | None = None,
        action_preprocessing_layers: Any = None,
        *,
        action_preprocessing_combiner: Any = None,
        action_fc_layer_params: Sequence[int] | None = None,
        action_dropout_layer_params: Sequence[Any] | None = None,
        joint_fc_layer_params: Sequence[int] | None = None,
        joint_dropout_layer_params: Sequence[Any] | None = None,
        activation_fn: Any = tf.keras.activations.relu,
        output_activation_fn: Any = None,
        kernel_initializer: Any = None,
        last_kernel_initializer: Any = None,
        name: str = "CriticNetwork",
    ) -> None:
        """Builds the layers: `joint_...` are those after both inputs are joined."""
        hidden = hidden_layers(activation_fn, kernel_initializer)
        observation_arguments = (
            observation_preprocessing_layers,
            observation_preprocessing_combiner,
            observation_conv_layer_params,
            observation_fc_layer_params,
            observation_dropout_layer_params,
        )
        action_arguments = (
            action_preprocessing_layers,
            action_preprocessing_combiner,
            None,  # No convolutions.
            action_fc_layer_params,
            action_dropout_layer_params,
        )
        encoders, encoded_specs = make_encoders(
            input_tensor_spec, (observation_arguments, action_arguments), hidden
        )
        joint_encoder = encoding_network.EncodingNetwork(
            encoded_specs,
            preprocessing_combiner=tf.keras.layers.Concatenate(),
            fc_layer_params=joint_fc_layer_params,
            dropout_layer_params=joint_dropout_layer_params,
            **hidden,
        )
        q_layer = value_layer(last_kernel_initializer, output_activation_fn)
        super().__init__(input_tensor_spec, encoders, joint_encoder, q_layer, name)
