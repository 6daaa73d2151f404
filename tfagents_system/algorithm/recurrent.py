"""Recurrent networks: TF-Agents' own, with an LSTM behind the hidden layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.agents.ddpg import critic_rnn_network
from tf_agents.networks import actor_distribution_rnn_network, network

from tfagents_system.algorithm import networks


def make_actor(
    observation_spec: Any,
    action_spec: Any,
    *,
    fc_layer_params: Sequence[int],
    lstm_units: int,
    preprocessing_layers: Any = None,
    preprocessing_combiner: Any = None,
    activation: str = "relu",
) -> network.DistributionNetwork:
    """Builds an LSTM with a tanh-squashed normal distribution over actions.

    Args:
      observation_spec: As for `networks.make_actor`.
      action_spec: The same.
      fc_layer_params: Units of the hidden layers before the LSTM.
      lstm_units: Units of the LSTM.
      preprocessing_layers: As for `networks.make_actor`.
      preprocessing_combiner: The same.
      activation: Keras activation of the hidden layers.
    """
    layers, combiner = networks.complete_preprocessing(
        observation_spec, preprocessing_layers, preprocessing_combiner, activation
    )
    return actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        observation_spec,
        action_spec,
        preprocessing_layers=layers,
        preprocessing_combiner=combiner,
        input_fc_layer_params=tuple(fc_layer_params),
        lstm_size=(lstm_units,),
        output_fc_layer_params=None,
        activation_fn=tf.keras.activations.get(activation),
        continuous_projection_net=networks.make_projection,
    )


def make_critic(
    observation_spec: Any,
    action_spec: Any,
    *,
    joint_fc_layer_params: Sequence[int],
    lstm_units: int,
    preprocessing_layers: Any = None,
    preprocessing_combiner: Any = None,
    activation: str = "relu",
) -> network.Network:
    """Builds an LSTM critic: sequences of (observation, action) in, Q out.

    Args:
      observation_spec: As for `networks.make_critic`.
      action_spec: The same.
      joint_fc_layer_params: Units of the hidden layers before the LSTM.
      lstm_units: Units of the LSTM.
      preprocessing_layers: As for `networks.make_critic`.
      preprocessing_combiner: The same.
      activation: Keras activation of the hidden layers.
    """

    def make_vector_critic(spec: Any) -> network.Network:
        return critic_rnn_network.CriticRnnNetwork(
            (spec, action_spec),
            joint_fc_layer_params=tuple(joint_fc_layer_params),
            lstm_size=(lstm_units,),
            output_fc_layer_params=None,
            activation_fn=tf.keras.activations.get(activation),
        )

    return networks.with_preprocessing(
        make_vector_critic,
        observation_spec,
        action_spec,
        preprocessing_layers,
        preprocessing_combiner,
        activation,
    )
