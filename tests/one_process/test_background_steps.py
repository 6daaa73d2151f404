"""Gradient steps that are computed while the environment steps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import LendAgent
from tfagents_system.acting.numpy_actor import NumpyActor, NumpyPolicy
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.learning.gradient_steps import GradientSteps
from tfagents_system.one_process.background_steps import BackgroundSteps
from tfagents_system.settings.hyperparameters import Execution


class Actor(NumpyPolicy):
    """Writes down which weights it gets."""

    def __init__(self, agent: Any) -> None:
        super().__init__(NumpyActor.of(agent.collect_policy), None)
        self.found: list[Any] = []

    def refresh(self, packed: Any = None) -> None:
        super().refresh(packed)
        self.found.append(packed)


@pytest.fixture
def background(
    pendulum: tuple[Any, Any, Any], lend_agent: LendAgent
) -> Iterator[tuple[Any, BackgroundSteps]]:
    """Yields an agent and its steps in the background, in batches of 8."""
    params, _, specs = pendulum
    agent = seeded_agent(lend_agent, params, specs)
    num_threads = threading.active_count()
    steps = BackgroundSteps(agent, RowCodec(specs), 8, Actor(agent))
    yield agent, steps
    steps.close()
    steps.close()
    assert threading.active_count() == num_threads


def seeded_agent(lend_agent: LendAgent, params: Any, specs: Any) -> Any:
    """Builds an agent whose weights and noise are the same each time."""
    tf.keras.utils.set_random_seed(0)
    agent = lend_agent(params, specs, Execution(noise_seed=0))
    tf.random.set_seed(None)
    return agent


def make_batch(specs: Any, seed: int) -> list[Any]:
    """Returns a batch of 8 random rows."""
    rng = np.random.default_rng(seed)
    return [
        rng.standard_normal((8, *column.shape)).astype(np.float32)
        for column in RowCodec(specs).columns
    ]


def test_steps_in_the_background_are_those_in_the_foreground(
    pendulum: tuple[Any, Any, Any],
    lend_agent: LendAgent,
    background: tuple[Any, Any],
) -> None:
    params, _, specs = pendulum
    batches = [make_batch(specs, seed) for seed in range(12)]
    agent = seeded_agent(lend_agent, params, specs)
    steps = GradientSteps(agent, RowCodec(specs))
    actor = Actor(agent)
    assert actor.weights is not None
    expected = []
    for batch in batches:
        steps.step(batch)
        expected.append(actor.weights.read())

    other, in_background = background
    policy = in_background._policy
    policy.found.clear()
    for index, batch in enumerate(batches):
        in_background.begin(batch)
        # The policy is one step behind, until it is waited for.
        assert len(policy.found) == index
        if index in (4, 5):  # The loop is left and begun anew.
            in_background.finish()
            in_background.finish()
            assert len(policy.found) == index + 1
            assert int(other.train_step_counter.numpy()) == index + 1
    in_background.finish()
    np.testing.assert_array_equal(policy.found, expected)
    for one, two in zip(agent.variables, other.variables):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    assert in_background.steps.take_losses() == steps.take_losses()


def test_an_error_in_the_background_is_raised(
    pendulum: tuple[Any, Any, Any], background: tuple[Any, Any]
) -> None:
    batch = [np.full_like(part, np.nan) for part in make_batch(pendulum[2], 0)]
    background[1].begin(batch)
    with pytest.raises(UserError, match="loss is inf or nan"):
        background[1].finish()


def test_steps_in_the_background_can_be_left(
    pendulum: tuple[Any, Any, Any], background: tuple[Any, Any]
) -> None:
    for seed in range(2):
        background[1].begin(make_batch(pendulum[2], seed))
    # The fixture leaves them, and counts the threads.


def test_a_policy_that_normalizes_gets_each_step_at_once(
    load: Callable[..., Any], pendulum: tuple[Any, Any, Any], lend_agent: LendAgent
) -> None:
    specs = pendulum[2]
    params = load(train_params={"normalize_observations": True})
    agent = seeded_agent(lend_agent, params, specs)
    policy = Actor(agent)
    observation = np.ones(specs.observation.shape, np.float32)
    steps = BackgroundSteps(agent, RowCodec(specs), 8, policy)
    for seed in range(3):
        before, _ = policy._actor.distribution(observation)
        steps.begin(make_batch(specs, seed))
        assert int(agent.train_step_counter.numpy()) == seed + 1
        mean, std = policy._actor.distribution(observation)
        assert (mean != before).all()
        newest = NumpyActor.of(agent.collect_policy)
        np.testing.assert_array_equal((mean, std), newest.distribution(observation))
    steps.finish()
