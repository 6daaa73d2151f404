"""The compiled loop of gradient steps, without processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf

from tfagents_system.acting import episode
from tfagents_system.acting.numpy_actor import NumpyActor
from tfagents_system.algorithm import sac
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.learning.gradient_steps import GradientSteps
from tfagents_system.one_process.background_steps import BackgroundSteps


class Feed:
    """Batches of rows that arrive when the test lets them."""

    def __init__(self, codec: RowCodec) -> None:
        self.value = 0.0
        self.batches_allowed = threading.Semaphore(0)
        self.is_ending = False
        signature = tuple(
            tf.TensorSpec((4, *spec.shape), spec.dtype) for spec in codec.columns
        )
        self._signature = signature
        self.dataset = tf.data.Dataset.from_generator(
            self._generate, output_signature=signature
        )

    def _generate(self) -> Iterator[Any]:
        while True:
            self.batches_allowed.acquire()
            if self.is_ending:
                return
            yield tuple(
                np.full(spec.shape, self.value, spec.dtype.as_numpy_dtype)
                for spec in self._signature
            )


@pytest.fixture
def learning(pendulum: tuple[Any, Any, Any]) -> Iterator[tuple[Any, Feed, Any]]:
    """Yields an agent, its feed and its gradient steps."""
    params, _, specs = pendulum
    agent = sac.build_agent(params, specs)
    codec = RowCodec(specs)
    feed = Feed(codec)
    yield agent, feed, GradientSteps(agent, codec, feed.dataset)
    feed.is_ending = True
    feed.batches_allowed.release()


def test_steps_are_counted_and_losses_are_means(
    learning: tuple[Any, Feed, Any],
) -> None:
    agent, feed, steps = learning
    feed.batches_allowed.release(6)
    steps.run(3)
    losses = steps.take_losses()
    assert int(agent.train_step_counter.numpy()) == 3
    assert set(losses) == {
        "Losses/loss",
        "Losses/critic_loss",
        "Losses/actor_loss",
        "Losses/alpha_loss",
    }
    assert all(np.isfinite(loss) for loss in losses.values())
    assert steps.take_losses() == {}
    steps.run(2)
    assert int(agent.train_step_counter.numpy()) == 5


def test_a_loss_that_is_not_finite_is_told_in_one_line(
    learning: tuple[Any, Feed, Any],
) -> None:
    agent, feed, steps = learning
    feed.batches_allowed.release(2)
    steps.run(2)
    steps.check_finite()
    feed.value = np.nan
    feed.batches_allowed.release(1)
    with pytest.raises(
        UserError, match=r"loss is inf or nan at train step [23]"
    ) as error:
        steps.run(1)
    assert "\n" not in str(error.value)
    weights = agent._actor_network.trainable_variables[0]
    weights.assign(tf.fill(weights.shape, np.inf))
    with pytest.raises(UserError, match="a weight is inf or nan at train step"):
        steps.check_finite()


def test_stop_while_waiting_for_data_changes_nothing(
    learning: tuple[Any, Feed, Any],
) -> None:
    agent, feed, steps = learning
    feed.batches_allowed.release(2)
    steps.run(2)  # Compiles.
    thread = threading.Thread(target=lambda: steps.run(5), daemon=True)
    thread.start()
    time.sleep(0.5)
    weights = [v.numpy() for v in agent.collect_policy.variables()]
    assert int(agent.train_step_counter.numpy()) == 2
    steps.stop()
    feed.batches_allowed.release(5)
    thread.join(20)
    assert not thread.is_alive()
    assert int(agent.train_step_counter.numpy()) == 2
    for before, variable in zip(weights, agent.collect_policy.variables()):
        np.testing.assert_array_equal(before, variable.numpy())


class Actor(episode.NumpyPolicy):
    """Writes down which weights it gets."""

    def __init__(self, agent: Any) -> None:
        actor = NumpyActor.of(agent.collect_policy)
        assert actor is not None
        super().__init__(actor, None)
        self.found: list[Any] = []

    def refresh(self, packed: Any = None) -> None:
        super().refresh(packed)
        self.found.append(packed)


@pytest.fixture
def background(pendulum: tuple[Any, Any, Any]) -> Iterator[tuple[Any, BackgroundSteps]]:
    """Yields an agent and its steps in the background, in batches of 8."""
    params, _, specs = pendulum
    agent = seeded_agent(params, specs)
    num_threads = threading.active_count()
    steps = BackgroundSteps(agent, RowCodec(specs), 8, Actor(agent))
    yield agent, steps
    steps.close()
    steps.close()
    assert threading.active_count() == num_threads


def seeded_agent(params: Any, specs: Any) -> Any:
    tf.keras.utils.set_random_seed(0)
    agent: Any = sac.build_agent(params, specs)
    agent.noise_seed = 0
    tf.random.set_seed(None)
    return agent


def make_batch(specs: Any, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [
        rng.standard_normal((8, *column.shape)).astype(np.float32)
        for column in RowCodec(specs).columns
    ]


def test_steps_in_the_background_are_those_in_the_foreground(
    pendulum: tuple[Any, Any, Any], background: tuple[Any, Any]
) -> None:
    params, _, specs = pendulum
    batches = [make_batch(specs, seed) for seed in range(12)]
    agent = seeded_agent(params, specs)
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
    assert in_background.take_losses() == steps.take_losses()


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
    load: Callable[..., Any], pendulum: tuple[Any, Any, Any]
) -> None:
    specs = pendulum[2]
    agent = seeded_agent(load(train_params={"normalize_observations": True}), specs)
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
        assert newest is not None
        np.testing.assert_array_equal((mean, std), newest.distribution(observation))
    steps.finish()
