"""What acts: the fastest policy that acts as the agent does, and a random one."""

from __future__ import annotations

import logging
import re
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.framework import constant_op
from tf_agents.policies import greedy_policy, random_tf_policy
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tests.acting.actors import (
    ACTIONS,
    CUSTOM_ACTORS,
    OBSERVATION,
    build,
    build_custom,
)
from tests.conftest import RECURRENT
from tfagents_system.acting import policies
from tfagents_system.acting.numpy_actor import NumpyPolicy
from tfagents_system.algorithm.specs import Specs
from tfagents_system.learning.build import build_agent

STEP = ts.restart(np.full(5, 0.1, np.float32))


def test_new_weights_are_read_when_an_episode_begins(load: Callable[..., Any]) -> None:
    agent = build(load, ACTIONS["unit"])
    policy = policies.make_policy(
        greedy_policy.GreedyPolicy(agent.policy), np.random.default_rng(0)
    )
    first = policy.act(STEP)
    for variable in agent.policy.variables():
        variable.assign(variable * 0)
    np.testing.assert_array_equal(policy.act(STEP), first)
    policy.reset()
    np.testing.assert_array_equal(policy.act(STEP), np.zeros(3))


def test_weights_that_were_read_can_be_taken_over(load: Callable[..., Any]) -> None:
    agent = build(load, ACTIONS["unit"])
    policy = policies.make_policy(
        greedy_policy.GreedyPolicy(agent.policy), np.random.default_rng(0)
    )
    assert policy.weights is not None
    first, packed = policy.act(STEP), policy.weights.read()
    for variable in agent.policy.variables():
        variable.assign(variable * 0)
    policy.refresh()
    np.testing.assert_array_equal(policy.act(STEP), np.zeros(3))
    policy.refresh(packed)
    np.testing.assert_array_equal(policy.act(STEP), first)


def test_workers_with_different_generators_explore_differently(
    load: Callable[..., Any],
) -> None:
    agent = build(load, ACTIONS["unit"], actor_fc_layer_params=[4])
    actions = []
    for seed in (1, 2, 1):
        policy = policies.make_policy(agent.collect_policy, np.random.default_rng(seed))
        assert isinstance(policy, NumpyPolicy)
        actions.append([policy.act(STEP) for _ in range(5)])
    assert not np.allclose(actions[0], actions[1])
    np.testing.assert_array_equal(actions[0], actions[2])


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
    greedy = greedy_policy.GreedyPolicy(agent.policy)
    policy = policies.make_policy(greedy, np.random.default_rng(0))
    assert isinstance(policy, NumpyPolicy) == is_numpy
    # The statistics are not among an actor's weights.
    assert policy.weights is None
    rng = np.random.default_rng(1)
    observations = rng.normal([-5, 5, 0, 100, 2], 2, (20, 5)).astype(np.float32)
    expected = greedy.action(ts.restart(tf.constant(observations), 20)).action
    assert np.mean(np.abs(expected) < 0.99) > 0.3  # tanh does not hide all.
    for observation, action in zip(observations, expected):
        np.testing.assert_allclose(
            policy.act(ts.restart(observation)), action, atol=1e-5
        )


def policy_records(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Returns what is logged of policies; TensorFlow may log of other tests' graphs."""
    return [
        (level, message)
        for name, level, message in caplog.record_tuples
        if name == policies.__name__
    ]


def fallback_reason(caplog: pytest.LogCaptureFixture) -> str:
    """Returns why the only line of the log says that TensorFlow acts."""
    ((level, message),) = policy_records(caplog)
    assert level == logging.INFO
    start, reason = message.split(": ", 1)
    assert start.startswith("acting in TensorFlow")
    return reason


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Returns what is logged of policies."""
    caplog.set_level(logging.INFO, policies.__name__)
    return caplog


@pytest.mark.parametrize("name", sorted(CUSTOM_ACTORS))
def test_any_other_actor_takes_one_compiled_function_and_the_log_says_why(
    load: Callable[..., Any], log: pytest.LogCaptureFixture, name: str
) -> None:
    agent = build_custom(load, name)
    greedy = greedy_policy.GreedyPolicy(agent.policy)
    policy = policies.make_policy(greedy, np.random.default_rng(0))
    assert isinstance(policy, policies.TFAgentsPolicy)
    assert re.fullmatch(CUSTOM_ACTORS[name][1], fallback_reason(log))
    policy.reset()
    action = policy.act(STEP)
    expected = greedy.action(
        ts.restart(tf.constant(STEP.observation)[None], batch_size=1)
    )
    np.testing.assert_allclose(action, expected.action[0], atol=1e-5)


def test_log_names_the_activation_that_numpy_lacks(
    load: Callable[..., Any], log: pytest.LogCaptureFixture
) -> None:
    agent = build(load, ACTIONS["unit"], activation="mish")
    policies.make_policy(agent.collect_policy, np.random.default_rng(0))
    assert fallback_reason(log) == "it has the activation mish"


def test_log_names_the_network_and_the_policy_that_are_not_standard(
    load: Callable[..., Any], log: pytest.LogCaptureFixture
) -> None:
    generator = np.random.default_rng(0)
    specs = Specs(OBSERVATION, ACTIONS["unit"])
    agent = build_agent(load(train_params=RECURRENT), specs)
    policies.make_policy(agent.collect_policy, generator)
    assert "ActorDistributionRnnNetwork" in fallback_reason(log)
    log.clear()
    random_policy = random_tf_policy.RandomTFPolicy(specs.time_step, specs.action)
    policies.make_policy(random_policy, generator)
    assert "RandomTFPolicy" in fallback_reason(log)


def test_standard_actor_logs_nothing(
    load: Callable[..., Any], log: pytest.LogCaptureFixture
) -> None:
    agent = build(load, ACTIONS["unit"])
    policies.make_policy(agent.collect_policy, np.random.default_rng(0))
    assert policy_records(log) == []


def test_a_step_runs_no_tensorflow(
    pendulum: tuple[Any, Any, Specs], monkeypatch: pytest.MonkeyPatch
) -> None:
    params, env, specs = pendulum
    agent = build_agent(params, specs)
    policy = policies.make_policy(agent.collect_policy, np.random.default_rng(0))
    policy.reset()

    time_step = env.reset()
    forbid_tensorflow(monkeypatch)
    for _ in range(3):
        time_step = env.step(policy.act(time_step))


def forbid_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets whatever runs an op, calls a compiled function or makes a tensor fail."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("TensorFlow ran an op")

    # Ops that run eagerly take the first, compiled functions the second.
    monkeypatch.setattr(pywrap_tfe, "TFE_Py_FastPathExecute", fail)
    monkeypatch.setattr(pywrap_tfe, "TFE_Py_Execute", fail)
    monkeypatch.setattr(constant_op, "convert_to_eager_tensor", fail)


VARIABLE = tf.Variable([1.0, 2.0])
TENSOR = tf.constant([1.0, 2.0])
compiled = tf.function(lambda: VARIABLE + 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: tf.add(TENSOR, TENSOR),
        lambda: TENSOR * TENSOR,
        lambda: tf.constant([3.0]),
        lambda: tf.convert_to_tensor(np.ones(2)),
        lambda: VARIABLE.numpy(),
        lambda: VARIABLE.assign(TENSOR),
        lambda: compiled(),
    ],
)
def test_a_step_that_ran_tensorflow_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]
) -> None:
    call()  # Compiles, where that is due.
    with monkeypatch.context() as patch:
        forbid_tensorflow(patch)
        with pytest.raises(AssertionError, match="TensorFlow ran an op"):
            call()


ACTION_SPEC = {
    "arm": array_spec.BoundedArraySpec((2,), np.float32, [-3.0, 0.5], [1.0, 0.75]),
    "grip": array_spec.BoundedArraySpec((), np.float64, 0.0, 10.0),
}


def test_random_actions_are_uniform_within_their_bounds() -> None:
    policy = policies.RandomPolicy(ACTION_SPEC, np.random.default_rng(0))
    drawn = [policy.act(STEP) for _ in range(20_000)]
    assert array_spec.check_arrays_nest(drawn[0], ACTION_SPEC)  # Shapes and dtypes.
    fractions = np.linspace(0.0, 1.0, 21)
    for name, spec in ACTION_SPEC.items():
        actions = np.stack([action[name] for action in drawn])
        assert actions.dtype == spec.dtype
        assert (actions >= spec.minimum).all()
        assert (actions <= spec.maximum).all()
        scaled = (actions - spec.minimum) / (spec.maximum - spec.minimum)
        for values in scaled.reshape(len(drawn), -1).T:
            # Five standard errors of the median.
            quantiles = np.quantile(values, fractions)
            np.testing.assert_allclose(quantiles, fractions, atol=0.018)
    arm = np.stack([action["arm"] for action in drawn])
    assert abs(np.corrcoef(arm.T)[0, 1]) < 0.04


def test_random_policies_of_one_seed_act_alike() -> None:
    first, same, other = (
        [policy.act(STEP) for _ in range(10)]
        for policy in (
            policies.RandomPolicy(ACTION_SPEC, np.random.default_rng(seed))
            for seed in (1, 1, 2)
        )
    )
    tf.nest.map_structure(np.testing.assert_array_equal, first, same)
    assert all(mine["grip"] != theirs["grip"] for mine, theirs in zip(first, other))
