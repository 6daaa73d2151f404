"""The compiled loop of gradient steps, without processes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import LendAgent
from tests.learning.helpers import Feed
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.learning.gradient_steps import GradientSteps


@pytest.fixture
def learning(
    pendulum: tuple[Any, Any, Any], lend_agent: LendAgent
) -> Iterator[tuple[Any, Feed, Any]]:
    """Yields an agent, its feed and its gradient steps."""
    params, _, specs = pendulum
    agent = lend_agent(params, specs)
    codec = RowCodec(specs)
    feed = Feed(codec)
    yield agent, feed, GradientSteps(agent, codec, feed.dataset)
    feed.end()


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


def test_the_agent_is_compiled_as_it_is_written(
    learning: tuple[Any, Feed, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AutoGraph would translate all of TF-Agents, which takes longer than the rest.

    And once: TensorFlow traces a function again that has made variables.
    """
    agent, feed, steps = learning
    files = []
    train = agent.train

    def noted_train(experience: Any) -> Any:
        files.append(sys._getframe().f_code.co_filename)
        return train(experience)

    monkeypatch.setattr(agent, "train", noted_train)
    feed.batches_allowed.release(2)
    steps.run(1)
    assert files == [__file__]


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
    steps.allow()
    feed.batches_allowed.release(1)
    steps.run(1)
    assert int(agent.train_step_counter.numpy()) == 3


def test_a_diagnosis_measures_and_changes_nothing(
    learning: tuple[Any, Feed, Any],
) -> None:
    agent, feed, steps = learning
    feed.batches_allowed.release(3)
    steps.run(2)
    before = [variable.numpy() for variable in agent.variables]
    from_dataset = steps.diagnose()
    assert set(from_dataset) == {"Q/critic_1", "Q/critic_2", "Losses/alpha"}
    assert from_dataset["Losses/alpha"] == pytest.approx(np.exp(agent._log_alpha))
    zeros = [np.zeros((4, *c.shape), np.float32) for c in steps._codec.columns]
    assert steps.diagnose(zeros) == from_dataset
    for value, variable in zip(before, agent.variables):
        np.testing.assert_array_equal(value, variable.numpy())
