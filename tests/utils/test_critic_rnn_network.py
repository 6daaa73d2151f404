"""The archived framework's recurrent critic: both inputs are encoded."""

from __future__ import annotations

import tensorflow as tf
from tf_agents.specs import tensor_spec

from tests.utils.test_critic_network import ACTION, HISTORY, shapes
from tfagents_system.utils.critic_rnn_network import CriticRnnNetwork

OBS = tf.keras.layers.Lambda(lambda x: x["obs"])


def test_layers_as_the_archived_framework_asked_for() -> None:
    critic = CriticRnnNetwork(
        (HISTORY, ACTION),
        observation_preprocessing_combiner=OBS,
        observation_fc_layer_params=None,
        action_fc_layer_params=None,
        joint_fc_layer_params=(8,),
        lstm_size=(6,),
        joint_preprocessing_combiner=tf.keras.layers.Concatenate(axis=-1),
    )
    lstm = [(8, 4 * 6), (6, 4 * 6)]
    assert shapes(critic) == [(14, 8), *lstm, (6, 200), (200, 100), (100, 1)]


def test_defaults_are_those_of_tf_agents() -> None:
    critic = CriticRnnNetwork(
        (HISTORY, ACTION), None, OBS, lstm_size=(6,), output_fc_layer_params=(9,)
    )
    joined = [(12, 200), (2, 200), (400, 100)]
    assert shapes(critic) == [*joined, (100, 24), (6, 24), (6, 9), (9, 1)]


def test_q_is_one_number_for_each_step_of_a_sequence() -> None:
    critic = CriticRnnNetwork((HISTORY, ACTION), None, OBS, lstm_size=(6,))
    inputs = tensor_spec.sample_spec_nest((HISTORY, ACTION), outer_dims=(4, 3))
    values, state = critic(inputs, step_type=tf.ones((4, 3), tf.int32))
    assert values.shape == (4, 3)
    assert [part.shape for part in tf.nest.flatten(state)] == [(4, 6), (4, 6)]
    assert critic.copy(name="copy").state_spec == critic.state_spec
