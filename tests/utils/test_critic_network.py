"""The archived framework's critic: both inputs are encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfagents_system.utils.critic_network import CriticNetwork

ACTION = tensor_spec.BoundedTensorSpec((2,), tf.float32, -1.0, 1.0)
HISTORY = {"obs": tf.TensorSpec((4, 3), tf.float32), "aux": tf.TensorSpec((), tf.int32)}


def shapes(network: Any) -> list[tuple[int, ...]]:
    """Returns the shapes of a network's kernels, in their order."""
    network.create_variables()
    return [tuple(v.shape) for v in network.trainable_variables if len(v.shape) > 1]


def test_observation_and_action_have_layers_of_their_own() -> None:
    critic = CriticNetwork(
        (HISTORY, ACTION),
        observation_preprocessing_combiner=tf.keras.layers.Lambda(lambda x: x["obs"]),
        observation_fc_layer_params=(7,),
        action_preprocessing_layers=tf.keras.layers.Rescaling(2.0),
        action_fc_layer_params=(5,),
        joint_fc_layer_params=(11, 13),
        joint_dropout_layer_params=[0.1, 0.1],
        activation_fn=tf.nn.tanh,
        name="Q",
    )
    assert critic.name == "Q"
    assert shapes(critic) == [(12, 7), (2, 5), (12, 11), (11, 13), (13, 1)]


def test_without_layers_the_inputs_are_joined_as_they_are() -> None:
    critic = CriticNetwork(
        (tf.TensorSpec((3,), tf.float32), ACTION), joint_fc_layer_params=(8,)
    )
    assert shapes(critic) == [(5, 8), (8, 1)]
    assert np.abs(critic.layers[-1].kernel.numpy()).max() <= 0.003


def test_layers_of_one_shape_begin_with_different_weights() -> None:
    critic = CriticNetwork(
        (tf.TensorSpec((4,), tf.float32), tf.TensorSpec((4,), tf.float32)),
        joint_fc_layer_params=(8, 8, 8),
    )
    critic.create_variables()
    _, one, other = (
        v.numpy() for v in critic.variables if len(v.shape) > 1 and v.shape[1] == 8
    )
    assert (one != other).any()


def test_q_is_one_number_for_each_of_a_batch_and_copies_share_no_weights() -> None:
    critic = CriticNetwork(
        (HISTORY, ACTION),
        None,
        tf.keras.layers.Lambda(lambda x: x["obs"]),
        joint_fc_layer_params=(8,),
    )
    inputs = tensor_spec.sample_spec_nest((HISTORY, ACTION), outer_dims=(6,))
    values, state = critic(inputs)
    assert (values.shape, state) == ((6,), ())
    other = critic.copy(name="copy")
    other.create_variables()
    assert other.name == "copy"
    assert not {id(v) for v in critic.variables} & {id(v) for v in other.variables}
