"""Agents whose actor acts in NumPy, and actors that NumPy cannot act as."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf
from tf_agents.networks import actor_distribution_network
from tf_agents.specs import tensor_spec

from tfagents_system.algorithm import networks
from tfagents_system.algorithm.specs import Specs
from tfagents_system.learning.build import build_agent
from tfagents_system.settings.hyperparameters import Hyperparameters

OBSERVATION = tf.TensorSpec((5,), tf.float32)
ACTIONS = {
    "unit": tensor_spec.BoundedTensorSpec((3,), tf.float32, -1, 1),
    "uneven bounds": tensor_spec.BoundedTensorSpec(
        (2,), tf.float32, [-3.0, 0.5], [1.0, 0.75]
    ),
}


def build(load: Callable[..., Any], action: Any, **train_params: Any) -> Any:
    """Builds an agent whose weights are large enough to squash and to clip."""
    agent: Any = build_agent(
        load(train_params=train_params), Specs(OBSERVATION, action)
    )
    rng = np.random.default_rng(0)
    for variable in agent.policy.variables():
        variable.assign(rng.normal(0, 0.7, variable.shape))
    return agent


def _with_projection(observation_spec: Any, action_spec: Any, **kwargs: Any) -> Any:
    """Returns an actor with the standard output and the given rest."""
    params = Hyperparameters({})
    standard = networks.make_actor(params, observation_spec, action_spec)
    return actor_distribution_network.ActorDistributionNetwork(
        observation_spec,
        action_spec,
        continuous_projection_net=lambda spec: standard._projection_networks,
        **kwargs,
    )


# What `actor_ctor` returns, and why NumPy cannot act as it.
CUSTOM_ACTORS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "another projection": (
        actor_distribution_network.ActorDistributionNetwork,
        "its output is not the standard squashed normal",
    ),
    "another activation": (
        lambda obs, act: _with_projection(
            obs, act, activation_fn=lambda x: tf.nn.leaky_relu(x, 0.3)
        ),
        "it has the activation <lambda>",
    ),
    "dropout": (
        lambda obs, act: _with_projection(
            obs, act, fc_layer_params=(4,), dropout_layer_params=[0.5]
        ),
        "it has a layer of type .*Dropout",
    ),
    "preprocessing": (
        lambda obs, act: _with_projection(
            obs, act, preprocessing_layers=tf.keras.layers.Rescaling(2.0)
        ),
        "its preprocessing does more than flatten and join",
    ),
}


def build_custom(load: Callable[..., Any], name: str) -> Any:
    """Builds an agent with one of CUSTOM_ACTORS."""
    params = load()
    params.actor_ctor = CUSTOM_ACTORS[name][0]
    return build_agent(params, Specs(OBSERVATION, ACTIONS["unit"]))
