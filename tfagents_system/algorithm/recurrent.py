"""Recurrent networks: TF-Agents' own, with an LSTM behind the hidden layers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tf_agents.agents.ddpg import critic_rnn_network
from tf_agents.networks import actor_distribution_rnn_network, network

from tfagents_system.algorithm import networks
from tfagents_system.settings.hyperparameters import Hyperparameters


def make_actor(
    params: Hyperparameters, observation_spec: Any, action_spec: Any
) -> network.DistributionNetwork:
    """Builds an LSTM with a tanh-squashed normal distribution over actions.

    Args:
      params: As for `networks.make_actor`, and the units of the LSTM.
      observation_spec: Nest of TensorSpec.
      action_spec: BoundedTensorSpec with finite bounds.
    """
    layers, combiner = networks.complete_preprocessing(params, observation_spec)
    return actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        observation_spec,
        action_spec,
        preprocessing_layers=layers,
        preprocessing_combiner=combiner,
        input_fc_layer_params=tuple(params.actor_fc_layer_params),
        lstm_size=(params.recurrent_lstm_units,),
        output_fc_layer_params=None,
        activation_fn=tf.keras.activations.get(params.activation),
        continuous_projection_net=networks.make_projection,
    )


def make_critic(
    params: Hyperparameters, observation_spec: Any, action_spec: Any
) -> network.Network:
    """Builds an LSTM critic: sequences of (observation, action) in, Q out.

    Args:
      params: As for `networks.make_critic`, and the units of the LSTM.
      observation_spec: Nest of TensorSpec.
      action_spec: BoundedTensorSpec.
    """

    def make_vector_critic(spec: Any) -> network.Network:
        return critic_rnn_network.CriticRnnNetwork(
            (spec, action_spec),
            joint_fc_layer_params=tuple(params.critic_joint_fc_layer_params),
            lstm_size=(params.recurrent_lstm_units,),
            output_fc_layer_params=None,
            activation_fn=tf.keras.activations.get(params.activation),
        )

    return networks.with_preprocessing(
        make_vector_critic, params, observation_spec, action_spec
    )
