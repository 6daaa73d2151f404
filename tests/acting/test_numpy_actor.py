"""The NumPy actor acts as the TF policy does, and is used only where it can."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.policies import greedy_policy
from tf_agents.trajectories import time_step as ts

from tests.acting.actors import ACTIONS, CUSTOM_ACTORS, build, build_custom
from tests.algorithm.test_normalization import SPEC, observations
from tfagents_system.acting.numpy_actor import (
    ACTIVATIONS,
    NotStandard,
    NumpyActor,
    NumpyNormalizer,
)
from tfagents_system.algorithm.normalization import ObservationNormalizer


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
    for sign in (-1, 1):
        action = actor.act(np.full(5, sign * 1e4, np.float32))
        assert np.all(action >= np.array([-3.0, 0.5], np.float32))
        assert np.all(action <= np.array([1.0, 0.75], np.float32))


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_are_those_of_keras(name: Any) -> None:
    x = np.linspace(-100, 100, 20_001).astype(np.float32)
    with np.errstate(over="raise", invalid="raise"):
        result = ACTIVATIONS[name](x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, name(tf.constant(x)), rtol=1e-5, atol=1e-5)


def test_numpy_normalizer_is_the_tf_normalizer() -> None:
    normalizer = ObservationNormalizer(SPEC)
    in_numpy = NumpyNormalizer(normalizer)
    normalizer.means[0].assign(np.full((2, 3), 1000.0))
    normalizer.variances[0].assign(np.full((2, 3), 4.0))
    normalizer.means[1].assign(-1.5)
    normalizer.variances[1].assign(1e-4)
    in_numpy.read_statistics()
    batch = observations((3,), 0)
    result = normalizer.normalize(tf.nest.map_structure(tf.constant, batch))
    for index in range(3):
        one = tf.nest.map_structure(lambda x, i=index: x[i], batch)
        for mine, theirs in zip(
            in_numpy.normalize(tf.nest.flatten(one)),
            tf.nest.flatten(tf.nest.map_structure(lambda x, i=index: x[i], result)),
        ):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(CUSTOM_ACTORS))
def test_what_is_not_standard_about_any_other_actor(
    load: Callable[..., Any], name: str
) -> None:
    agent = build_custom(load, name)
    with pytest.raises(NotStandard, match=CUSTOM_ACTORS[name][1]):
        NumpyActor.of(agent.collect_policy)
