"""The learner's iterations in this process, against a real Reverb server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reverb
import tensorflow as tf

from tests.conftest import LendAgent
from tests.end_to_end.harness import read_scalars
from tests.experiments import make_experiment
from tests.learning.helpers import Feed, read_policy, serve
from tests.waiting import wait_for
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.dataflow.variables import PolicyPublisher
from tfagents_system.errors import UserError
from tfagents_system.experiment import generations
from tfagents_system.experiment.status_file import LearnerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import ScalarWriter
from tfagents_system.learning import policy_export, training_loop
from tfagents_system.learning.gradient_steps import GradientSteps
from tfagents_system.learning.saver import Saver
from tfagents_system.learning.training_log import Counts, TrainingLog
from tfagents_system.learning.training_loop import TrainingLoop


class RememberingSaver(Saver):
    """Keeps what `save` returned, so that a test can wait for it."""

    futures: list[Future[None]]

    def save(self, is_stopping: bool = False) -> Future[None]:
        future = super().save(is_stopping)
        self.futures.append(future)
        return future


class Training:
    """A loop, the parts that it drives, and the replay server that they talk to."""

    def __init__(
        self, folder: Path, port: int, agent: Any, params: Any, specs: Any
    ) -> None:
        self.experiment = make_experiment(folder)
        codec = RowCodec(specs)
        self.server = serve(self.experiment, codec, port)
        self.client: reverb.Client = replay.connect(port)
        self.agent = agent
        self.feed = Feed(codec)
        status = StatusWriter(self.experiment, "learner", LearnerStatus)
        self.saver = RememberingSaver(
            self.experiment, self.agent, self.client, codec, status, 0
        )
        self.saver.futures = []
        writer = ScalarWriter(self.experiment.train_summaries("learner"), status)
        self.loop = TrainingLoop(
            params,
            self.agent,
            GradientSteps(self.agent, codec, self.feed.dataset),
            PolicyPublisher(self.agent, self.client, "7ab0"),
            self.saver,
            TrainingLog(writer, lambda: Counts(300, 2, 200, 5.0, 7.0)),
        )

    def wait_until_saved(self) -> list[int]:
        """Returns the train steps of the joint checkpoints, the newest first."""
        for future in self.saver.futures:
            future.result(60)
        found = generations.list_generations(self.experiment)
        return [generation.train_step for generation in found]


@pytest.fixture
def training(
    without_saved_models: None,
    pendulum: tuple[Any, Any, Any],
    lend_agent: LendAgent,
    free_port: int,
    tmp_path: Path,
) -> Iterator[Training]:
    """Yields a training of three iterations of ten gradient steps."""
    params, _, specs = pendulum
    params.num_steps_per_iter, params.num_iter = 10, 3
    params.checkpoint_period_itrs, params.log_period_itrs = 1, 2
    training = Training(tmp_path, free_port, lend_agent(params, specs), params, specs)
    yield training
    training.feed.end()
    training.server.stop()


@pytest.fixture
def published(training: Training, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns the train steps of the policies that the replay server got."""
    monkeypatch.setattr(training_loop, "PUBLISH_PERIOD_TRAIN_STEPS", 4)
    train_steps: list[int] = []
    publish = PolicyPublisher.publish

    def record(self: PolicyPublisher) -> None:
        publish(self)
        policy = read_policy(training.client)
        train_steps.append(policy.train_step)
        assert np.isfinite(policy.packed.view(np.float32)).all()

    monkeypatch.setattr(PolicyPublisher, "publish", record)
    return train_steps


def test_it_ends_when_training_is_complete(
    training: Training, published: list[int]
) -> None:
    training.feed.batches_allowed.release(31)
    assert not training.loop.is_complete
    training.loop.run()
    assert training.loop.is_complete
    assert training.loop.train_step == 30
    # Within an iteration, too, and with every iteration.
    assert published == [4, 8, 10, 14, 18, 20, 24, 28, 30]
    # The last checkpoint follows the end of training: the caller waits for it.
    assert training.wait_until_saved() == [20, 10]
    scalars = read_scalars(training.experiment.train_summaries("learner"))
    assert [step for step, _ in scalars["Losses/critic_loss"]] == [20]
    assert scalars["Metrics_vs_env_step/replay_size"] == [(300, 200.0)]


def test_an_iteration_that_was_begun_before_a_restart_is_completed(
    training: Training, published: list[int]
) -> None:
    training.agent.train_step_counter.assign(13)
    training.feed.batches_allowed.release(18)
    training.loop.run()
    assert published == [17, 20, 24, 28, 30]


def test_nothing_that_is_not_finite_is_published_or_saved(
    training: Training, published: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = PolicyPublisher.publish

    def publish_and_spoil(self: PolicyPublisher) -> None:
        publish(self)
        if published[-1] == 14:  # As a step that goes wrong leaves them.
            weights = training.agent._actor_network.trainable_variables[0]
            weights.assign(tf.fill(weights.shape, np.nan))

    monkeypatch.setattr(PolicyPublisher, "publish", publish_and_spoil)
    training.feed.batches_allowed.release(30)
    with pytest.raises(UserError, match="inf or nan"):
        training.loop.run()
    assert published == [4, 8, 10, 14]
    names = policy_export.list_checkpoints(training.experiment)
    assert names == ["policy_checkpoint_0000000010"]
    assert training.wait_until_saved() == [10]


def test_weights_that_are_not_finite_are_noticed_though_the_losses_were(
    training: Training, published: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "PUBLISH_PERIOD_TRAIN_STEPS", 1)
    training.agent._alpha_optimizer.learning_rate.assign(np.inf)
    training.feed.batches_allowed.release(1)
    with pytest.raises(UserError, match="a weight is inf or nan at train step 1"):
        training.loop.run()
    assert published == []


def test_a_stop_ends_it_before_the_next_gradient_step(
    training: Training, published: list[int]
) -> None:
    training.feed.batches_allowed.release(12)
    thread = threading.Thread(target=training.loop.run, daemon=True)
    thread.start()
    wait_for(lambda: training.loop.train_step == 12, timeout_secs=60)
    training.loop.stop()
    training.feed.batches_allowed.release(1)  # The one that it waits for.
    thread.join(30)
    assert not thread.is_alive()
    assert training.loop.train_step == 12
    assert not training.loop.is_complete
    assert published == [4, 8, 10]
    assert training.wait_until_saved() == [10]
