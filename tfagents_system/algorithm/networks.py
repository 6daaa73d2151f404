"""The default networks: TF-Agents' own, with the archived system's settings."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.agents.ddpg import critic_network
from tf_agents.agents.sac import sac_agent
from tf_agents.networks import (
    actor_distribution_network,
    network,
    normal_projection_network,
)


def make_actor(
    observation_spec: Any,
    action_spec: Any,
    *,
    fc_layer_params: Sequence[int],
    preprocessing_combiner: Any = None,
) -> network.DistributionNetwork:
    """Builds an MLP with a tanh-squashed normal distribution over actions.

    Args:
      observation_spec: Nest of TensorSpec; one spec if there is no combiner.
      action_spec: BoundedTensorSpec with finite bounds.
      fc_layer_params: Units of the hidden layers.
      preprocessing_combiner: Keras layer from the nested observation to one tensor.

    Returns:
      The network; log(std) is clipped to [-20, 2] as in the SAC authors' code.
    """
    projection = functools.partial(
        normal_projection_network.NormalProjectionNetwork,
        mean_transform=None,
        state_dependent_std=True,
        # The archived system's; TF-Agents' default is 0.1.
        init_means_output_factor=0.5,
        std_transform=sac_agent.std_clip_transform,
        scale_distribution=True,
    )
    return actor_distribution_network.ActorDistributionNetwork(
        observation_spec,
        action_spec,
        preprocessing_combiner=preprocessing_combiner,
        fc_layer_params=tuple(fc_layer_params),
        continuous_projection_net=projection,
    )


class CombiningCriticNetwork(network.Network):
    """TF-Agents' critic behind a layer that combines a nested observation."""

    def __init__(
        self,
        input_tensor_spec: Any,
        preprocessing_combiner: Any,
        joint_fc_layer_params: tuple[int, ...],
        name: str = "CombiningCriticNetwork",
    ) -> None:
        """Builds the critic for the combined observation.

        Args:
          input_tensor_spec: `(observation_spec, action_spec)`.
          preprocessing_combiner: Keras layer from the observation to one tensor; a
            copy of it is used, so that critics share no weights.
          joint_fc_layer_params: Units of the hidden layers.
          name: Name of the network.
        """
        super().__init__(input_tensor_spec, state_spec=(), name=name)
        observation_spec, action_spec = input_tensor_spec
        self._combiner = type(preprocessing_combiner).from_config(
            preprocessing_combiner.get_config()
        )
        example = tf.nest.map_structure(
            lambda spec: tf.zeros([1, *spec.shape], spec.dtype), observation_spec
        )
        combined = self._combiner(example)
        self._critic = critic_network.CriticNetwork(
            (tf.TensorSpec(combined.shape[1:], combined.dtype), action_spec),
            joint_fc_layer_params=joint_fc_layer_params,
        )

    def call(
        self,
        inputs: Any,
        step_type: Any = (),
        network_state: Any = (),
        training: bool = False,
    ) -> Any:
        """Returns Q of shape (B,) and the unchanged network state."""
        observation, action = inputs
        return self._critic(
            (self._combiner(observation), action),
            step_type=step_type,
            network_state=network_state,
            training=training,
        )


def make_critic(
    observation_spec: Any,
    action_spec: Any,
    *,
    joint_fc_layer_params: Sequence[int],
    preprocessing_combiner: Any = None,
) -> network.Network:
    """Builds an MLP critic: (observation, action) in, Q of shape (B,) out.

    Args:
      observation_spec: Nest of TensorSpec; one spec if there is no combiner.
      action_spec: BoundedTensorSpec.
      joint_fc_layer_params: Units of the hidden layers.
      preprocessing_combiner: Keras layer from the nested observation to one tensor.
    """
    if preprocessing_combiner is not None:
        return CombiningCriticNetwork(
            (observation_spec, action_spec),
            preprocessing_combiner=preprocessing_combiner,
            joint_fc_layer_params=tuple(joint_fc_layer_params),
        )
    return critic_network.CriticNetwork(
        (observation_spec, action_spec),
        joint_fc_layer_params=tuple(joint_fc_layer_params),
    )
