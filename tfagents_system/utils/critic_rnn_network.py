"""TF-Agents' recurrent DDPG critic, with an encoding network for each input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.networks import lstm_encoding_network

from tfagents_system.utils.critic_network import (
    EncodedCritic,
    hidden_layers,
    make_encoders,
    value_layer,
)


class CriticRnnNetwork(EncodedCritic):
    """Sequences of (observation, action) in, Q of shape (B, T) out.

    Observation and action are encoded, joined, and go through hidden layers, one or
    more LSTMs, and hidden layers again. The arguments `observation_...` and
    `action_...` are those of TF-Agents' `EncodingNetwork` for the one and the other;
    it copies the Keras layers it gets. `joint_...` are the layers after both are
    joined, by concatenation if there is no combiner. `lstm` holds `lstm_size`,
    `output_fc_layer_params` (hidden layers after it, by default of 200 and 100
    units), `rnn_construction_fn` and `rnn_construction_kwargs`, as in TF-Agents'
    `LSTMEncodingNetwork`.
    """

    def __init__(
        self,
        input_tensor_spec: Any,
        observation_preprocessing_layers: Any = None,
        observation_preprocessing_combiner: Any = None,
        observation_conv_layer_params: Sequence[Any] | None = None,
        observation_fc_layer_params: Sequence[int] | None = (200,),
        observation_dropout_layer_params: Sequence[Any] | None = None,
        action_preprocessing_layers: Any = None,
        *,
        action_preprocessing_combiner: Any = None,
        action_fc_layer_params: Sequence[int] | None = (200,),
        action_dropout_layer_params: Sequence[Any] | None = None,
        joint_preprocessing_layers: Any = None,
        joint_preprocessing_combiner: Any = None,
        joint_fc_layer_params: Sequence[int] | None = (100,),
        activation_fn: Any = tf.keras.activations.relu,
        kernel_initializer: Any = None,
        last_kernel_initializer: Any = None,
        name: str = "CriticRnnNetwork",
        **lstm: Any,
    ) -> None:
        """Builds the layers."""
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
        joint_encoder = lstm_encoding_network.LSTMEncodingNetwork(
            encoded_specs,
            joint_preprocessing_layers,
            joint_preprocessing_combiner or tf.keras.layers.Concatenate(),
            input_fc_layer_params=joint_fc_layer_params,
            activation_fn=activation_fn,
            **{"output_fc_layer_params": (200, 100), **lstm},
        )
        q_layer = value_layer(last_kernel_initializer)
        super().__init__(input_tensor_spec, encoders, joint_encoder, q_layer, name)
