"""The compiled loop of gradient steps, without processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfagents_system.algorithm import sac
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.gradient_steps import GradientSteps
from tfagents_system.one_process.background_steps import BackgroundSteps
from tfagents_system.packed_variables import PackedVariables


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


def test_steps_in_the_background_are_those_in_the_foreground(
    pendulum: tuple[Any, Any, Any],
) -> None:
    params, _, specs = pendulum
    codec = RowCodec(specs)
    rng = np.random.default_rng(0)
    batches = [
        [rng.standard_normal((8, *c.shape)).astype(np.float32) for c in codec.columns]
        for _ in range(12)
    ]

    def make_agent() -> tuple[Any, PackedVariables, PackedVariables]:
        tf.keras.utils.set_random_seed(0)
        agent = sac.build_agent(params, specs)
        agent.noise_seed = 0
        tf.random.set_seed(None)
        actor = PackedVariables(agent.collect_policy.variables())
        return agent, actor, PackedVariables(agent.variables)

    agent, actor, everything = make_agent()
    steps = GradientSteps(agent, codec)
    expected = []
    for batch in batches:
        steps.step(batch)
        expected.append(actor.read())
    losses = steps.take_losses()

    other, weights, all_variables = make_agent()
    background = BackgroundSteps(other, codec, 8, weights)
    found = []
    for index, batch in enumerate(batches):
        found.append(background.begin(batch))
        if index in (4, 5):  # The loop is left and begun anew.
            found.append(background.finish())
            assert background.finish() is None
            assert int(other.train_step_counter.numpy()) == index + 1
    found.append(background.finish())
    np.testing.assert_array_equal([p for p in found if p is not None], expected)
    np.testing.assert_array_equal(all_variables.read(), everything.read())
    assert background.take_losses() == losses
    background.close()


def test_an_error_in_the_background_is_raised_and_the_thread_ends(
    pendulum: tuple[Any, Any, Any],
) -> None:
    params, _, specs = pendulum
    agent = sac.build_agent(params, specs)
    codec = RowCodec(specs)
    weights = PackedVariables(agent.collect_policy.variables())
    background = BackgroundSteps(agent, codec, 4, weights)
    num_threads = threading.active_count()
    batch = [np.full((4, *c.shape), np.nan, np.float32) for c in codec.columns]
    assert background.begin(batch) is None
    with pytest.raises(UserError, match="loss is inf or nan"):
        background.finish()
    background.close()
    assert threading.active_count() == num_threads


def test_steps_in_the_background_can_be_left(pendulum: tuple[Any, Any, Any]) -> None:
    params, _, specs = pendulum
    agent = sac.build_agent(params, specs)
    codec = RowCodec(specs)
    weights = PackedVariables(agent.collect_policy.variables())
    background = BackgroundSteps(agent, codec, 4, weights)
    num_threads = threading.active_count()
    batch = [np.zeros((4, *c.shape), np.float32) for c in codec.columns]
    background.begin(batch)
    background.begin(batch)
    background.close()
    background.close()
    assert threading.active_count() == num_threads
