"""Recurrent networks: TF-Agents' own, with the layers of the archived framework.

An LSTM lies between the hidden layers.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tf_agents.agents.ddpg import critic_rnn_network
from tf_agents.networks import actor_distribution_rnn_network, network

from tfagents_system.algorithm import networks
from tfagents_system.settings.hyperparameters import Hyperparameters

# Hidden layers of the critics behind their LSTM: TF-Agents' default.
_CRITIC_OUTPUT_UNITS = (200, 100)


def make_actor(
    params: Hyperparameters, observation_spec: Any, action_spec: Any
) -> network.DistributionNetwork:
    """Builds an LSTM with a tanh-squashed normal distribution over actions.

    Args:
      params: As for `networks.make_actor`; of the two `actor_fc_layer_params` the
        first is the size of the layer before the LSTM and of the LSTM, the second
        that of the layer behind it.
      observation_spec: Nest of TensorSpec.
      action_spec: BoundedTensorSpec with finite bounds.
    """
    layers, combiner = networks.complete_preprocessing(params, observation_spec)
    input_units, output_units = params.actor_fc_layer_params
    return actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        observation_spec,
        action_spec,
        preprocessing_layers=layers,
        preprocessing_combiner=combiner,
        input_fc_layer_params=(input_units,),
        lstm_size=(input_units,),
        output_fc_layer_params=(output_units,),
        activation_fn=tf.keras.activations.get(params.activation),
        continuous_projection_net=networks.make_projection,
    )


def make_critic(
    params: Hyperparameters, observation_spec: Any, action_spec: Any
) -> network.Network:
    """Builds an LSTM critic: sequences of (observation, action) in, Q out.

    Args:
      params: As for `networks.make_critic`; of the two `critic_joint_fc_layer_params`
        the first is the size of the layer before the LSTM, the second the LSTM's.
      observation_spec: Nest of TensorSpec.
      action_spec: BoundedTensorSpec.
    """
    input_units, lstm_units = params.critic_joint_fc_layer_params

    def make_vector_critic(spec: Any) -> network.Network:
        return critic_rnn_network.CriticRnnNetwork(
            (spec, action_spec),
            observation_fc_layer_params=None,
            action_fc_layer_params=None,
            joint_fc_layer_params=(input_units,),
            lstm_size=(lstm_units,),
            output_fc_layer_params=_CRITIC_OUTPUT_UNITS,
            activation_fn=tf.keras.activations.get(params.activation),
        )

    return networks.with_preprocessing(
        make_vector_critic, params, observation_spec, action_spec
    )
