"""The NumPy actor acts as the TF policy does, and is used only where it can."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import actor_distribution_network
from tf_agents.policies import greedy_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting import episode
from tfagents_system.acting.numpy_actor import ACTIVATIONS, NumpyActor
from tfagents_system.algorithm import sac
from tfagents_system.algorithm.specs import Specs

ACTIONS = {
    "unit": tensor_spec.BoundedTensorSpec((3,), tf.float32, -1, 1),
    "uneven bounds": tensor_spec.BoundedTensorSpec(
        (2,), tf.float32, [-3.0, 0.5], [1.0, 0.75]
    ),
}


def build(load: Callable[..., Any], action: Any, **train_params: Any) -> Any:
    """Builds an agent whose weights are large enough to squash and to clip."""
    specs = Specs(tf.TensorSpec((5,), tf.float32), action)
    agent = sac.build_agent(load(train_params=train_params), specs)
    rng = np.random.default_rng(0)
    for variable in agent.policy.variables():
        variable.assign(rng.normal(0, 0.7, variable.shape))
    return agent


@pytest.mark.parametrize("name", sorted(ACTIONS))
@pytest.mark.parametrize("layers", [[7], [256, 256]])
def test_equals_the_tf_policy(
    load: Callable[..., Any], name: str, layers: list[int]
) -> None:
    agent = build(load, ACTIONS[name], actor_fc_layer_params=layers)
    # Scaled down, so that tanh does not hide a difference.
    for variable in agent.policy.variables():
        variable.assign(variable / len(variable.shape) / layers[0] ** 0.5)
    actor = NumpyActor.of(agent.collect_policy)
    assert actor is not None
    greedy = greedy_policy.GreedyPolicy(agent.policy)
    observations = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    time_steps = ts.restart(tf.constant(observations), batch_size=50)
    modes = greedy.action(time_steps).action.numpy()
    distribution = agent.collect_policy.distribution(time_steps).action
    normal = distribution.input_distribution
    for index, observation in enumerate(observations):
        action = actor.act(observation)
        assert action.dtype == np.float32
        assert action.shape == ACTIONS[name].shape
        np.testing.assert_allclose(action, modes[index], atol=1e-5)
        mean, std = actor.distribution(observation)
        np.testing.assert_allclose(
            mean, normal.mean()[index].numpy().ravel(), rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(
            std, normal.stddev()[index].numpy().ravel(), rtol=1e-5
        )


def test_samples_are_distributed_as_the_policy_says(load: Callable[..., Any]) -> None:
    agent = build(load, ACTIONS["uneven bounds"], actor_fc_layer_params=[4])
    actor = NumpyActor.of(agent.collect_policy)
    assert actor is not None
    observation = np.full(5, 0.1, np.float32)
    rng = np.random.default_rng(2)
    actions = np.stack([actor.act(observation, rng) for _ in range(20_000)])
    low, high = np.array([-3.0, 0.5]), np.array([1.0, 0.75])
    assert np.all(actions >= low)
    assert np.all(actions <= high)
    tf.random.set_seed(3)
    time_steps = ts.restart(
        tf.tile(tf.constant(observation)[None], (20_000, 1)), batch_size=20_000
    )
    expected = agent.collect_policy.action(time_steps).action.numpy()
    quantiles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(
        np.quantile(actions, quantiles, axis=0),
        np.quantile(expected, quantiles, axis=0),
        atol=0.1,
    )


def test_bounds_hold_where_tanh_saturates(load: Callable[..., Any]) -> None:
    agent = build(load, ACTIONS["uneven bounds"], actor_fc_layer_params=[4])
    actor = NumpyActor.of(agent.collect_policy)
    assert actor is not None
    for sign in (-1, 1):
        action = actor.act(np.full(5, sign * 1e4, np.float32))
        assert np.all(action >= np.array([-3.0, 0.5], np.float32))
        assert np.all(action <= np.array([1.0, 0.75], np.float32))


def test_new_weights_are_read_when_an_episode_begins(load: Callable[..., Any]) -> None:
    agent = build(load, ACTIONS["unit"])
    policy = episode.make_policy(
        greedy_policy.GreedyPolicy(agent.policy), np.random.default_rng(0)
    )
    time_step = ts.restart(np.full(5, 0.1, np.float32))
    first = policy.act(time_step)
    for variable in agent.policy.variables():
        variable.assign(variable * 0)
    np.testing.assert_array_equal(policy.act(time_step), first)
    policy.reset()
    np.testing.assert_array_equal(policy.act(time_step), np.zeros(3))


def test_workers_with_different_generators_explore_differently(
    load: Callable[..., Any],
) -> None:
    agent = build(load, ACTIONS["unit"], actor_fc_layer_params=[4])
    time_step = ts.restart(np.full(5, 0.1, np.float32))
    actions = []
    for seed in (1, 2, 1):
        policy = episode.make_policy(agent.collect_policy, np.random.default_rng(seed))
        assert isinstance(policy, episode.NumpyPolicy)
        actions.append([policy.act(time_step) for _ in range(5)])
    assert not np.allclose(actions[0], actions[1])
    np.testing.assert_array_equal(actions[0], actions[2])


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_are_those_of_keras(name: Any) -> None:
    x = np.linspace(-100, 100, 20_001).astype(np.float32)
    with np.errstate(over="raise", invalid="raise"):
        result = ACTIVATIONS[name](x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, name(tf.constant(x)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "is_numpy"),
    [("tanh", True), ("elu", True), ("gelu", True), ("swish", True), ("mish", False)],
)
def test_any_activation_and_normalization_acts_as_the_tf_policy(
    load: Callable[..., Any], activation: str, is_numpy: bool
) -> None:
    agent = build(
        load, ACTIONS["unit"], activation=activation, normalize_observations=True
    )
    for variable in agent._actor_network.variables:
        variable.assign(variable / 4)
    agent.normalizer.means[0].assign([-5.0, 5.0, 0.0, 100.0, 2.0])
    agent.normalizer.variances[0].assign([25.0, 0.04, 1.0, 1.0, 1e-6])
    assert (NumpyActor.of(agent.policy) is not None) == is_numpy
    greedy = greedy_policy.GreedyPolicy(agent.policy)
    policy = episode.make_policy(greedy, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    observations = rng.normal([-5, 5, 0, 100, 2], 2, (20, 5)).astype(np.float32)
    expected = greedy.action(ts.restart(tf.constant(observations), 20)).action
    assert np.mean(np.abs(expected) < 0.99) > 0.3  # tanh does not hide all.
    for observation, action in zip(observations, expected):
        np.testing.assert_allclose(
            policy.act(ts.restart(observation)), action, atol=1e-5
        )


CUSTOM_ACTORS = {
    "another projection": lambda obs, act: (
        actor_distribution_network.ActorDistributionNetwork(obs, act)
    ),
    "another activation": lambda obs, act: _with_projection(
        obs, act, activation_fn=lambda x: tf.nn.leaky_relu(x, 0.3)
    ),
    "dropout": lambda obs, act: _with_projection(
        obs, act, fc_layer_params=(4,), dropout_layer_params=[0.5]
    ),
    "preprocessing": lambda obs, act: _with_projection(
        obs, act, preprocessing_layers=tf.keras.layers.Rescaling(2.0)
    ),
}


def _with_projection(observation_spec: Any, action_spec: Any, **kwargs: Any) -> Any:
    from tfagents_system.algorithm import networks

    standard = networks.make_actor(observation_spec, action_spec, fc_layer_params=(4,))
    return actor_distribution_network.ActorDistributionNetwork(
        observation_spec,
        action_spec,
        continuous_projection_net=lambda spec: standard._projection_networks,
        **kwargs,
    )


@pytest.mark.parametrize("name", sorted(CUSTOM_ACTORS))
def test_any_other_actor_takes_one_compiled_function(
    load: Callable[..., Any], name: str
) -> None:
    params = load()
    params.actor_ctor = CUSTOM_ACTORS[name]
    specs = Specs(tf.TensorSpec((5,), tf.float32), ACTIONS["unit"])
    agent = sac.build_agent(params, specs)
    assert NumpyActor.of(agent.collect_policy) is None
    policy = episode.make_policy(
        greedy_policy.GreedyPolicy(agent.policy), np.random.default_rng(0)
    )
    assert isinstance(policy, episode.TFAgentsPolicy)
    observation = np.full(5, 0.1, np.float32)
    policy.reset()
    action = policy.act(ts.restart(observation))
    expected = greedy_policy.GreedyPolicy(agent.policy).action(
        ts.restart(tf.constant(observation)[None], batch_size=1)
    )
    np.testing.assert_allclose(action, expected.action[0], atol=1e-5)


def test_a_step_runs_no_tensorflow(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfagents_system.environments import standard

    params = load()
    env = standard.make_collect_env(params, worker=0, seed=0)
    specs = Specs(
        tensor_spec.from_spec(env.observation_spec()),
        tensor_spec.from_spec(env.action_spec()),
    )
    agent = sac.build_agent(params, specs)
    policy = episode.make_policy(agent.collect_policy, np.random.default_rng(0))
    policy.reset()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("TensorFlow ran an op")

    from tensorflow.python.eager import execute
    from tensorflow.python.framework import ops

    time_step = env.reset()
    monkeypatch.setattr(execute, "execute", fail)
    monkeypatch.setattr(ops, "convert_to_tensor", fail)
    for _ in range(3):
        time_step = env.step(policy.act(time_step))
    env.close()
