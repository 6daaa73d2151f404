"""The learner's iterations in this process, against a real Reverb server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reverb
import tensorflow as tf

from tests.learning.test_gradient_steps import Feed
from tfagents_system.algorithm import sac
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.experiment import generations
from tfagents_system.experiment.directory import Experiment
from tfagents_system.learning import policy_export
from tfagents_system.learning.gradient_steps import GradientSteps
from tfagents_system.processes import learner, startup


class Served:
    """A learner, and the replay server that it talks to."""

    def __init__(self, port: int, folder: Path, params: Any, specs: Any) -> None:
        self.experiment = Experiment(folder)
        self.experiment.replay.mkdir()
        self._codec = RowCodec(specs)
        self._port = port
        self.server = self.serve()
        self.client = replay.connect(port)
        self.agent = sac.build_agent(params, specs)
        self.feed = Feed(self._codec)
        self.learner = learner.Learner(
            self.experiment,
            params,
            self.agent,
            GradientSteps(self.agent, self._codec, self.feed.dataset),
            self._codec,
            self.client,
            startup.Status(self.experiment, "learner"),
        )

    def serve(self) -> reverb.Server:
        """Starts a replay server, empty."""
        return reverb.Server(
            replay.make_tables(self._codec, Pacing(1000, 1000, 1.0, 1000.0)),
            port=self._port,
            checkpointer=reverb.checkpointers.DefaultCheckpointer(
                str(self.experiment.replay)
            ),
        )


@pytest.fixture
def served(
    pendulum: tuple[Any, Any, Any], free_port: int, tmp_path: Path
) -> Iterator[Served]:
    """Yields a learner of three iterations of ten gradient steps."""
    params, _, specs = pendulum
    params.num_steps_per_iter, params.num_iter = 10, 3
    params.checkpoint_period_itrs = 1
    served = Served(free_port, tmp_path, params, specs)
    yield served
    served.server.stop()


def test_policies_are_published_within_an_iteration_and_never_one_that_is_not_finite(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner, "PUBLISH_PERIOD_TRAIN_STEPS", 4)
    published: list[int] = []
    publish = variables.PolicyPublisher.publish

    def record(self: Any, policy: variables.PublishedPolicy) -> None:
        published.append(policy.train_step)
        if policy.train_step == 14:  # As a step that goes wrong leaves them.
            weights = served.agent._actor_network.trainable_variables[0]
            weights.assign(tf.fill(weights.shape, np.nan))
        publish(self, policy)

    monkeypatch.setattr(variables.PolicyPublisher, "publish", record)
    served.feed.batches_allowed.release(30)
    try:
        with pytest.raises(UserError, match="inf or nan"):
            served.learner.train()
    finally:
        served.feed.is_ending = True
        served.feed.batches_allowed.release()
    assert published == [4, 8, 10, 14]
    names = policy_export.list_checkpoints(served.experiment)
    assert names == ["policy_checkpoint_0000000010"]
    served.learner._wait_until_saved()
    saved = generations.list_generations(served.experiment)
    assert [generation.train_step for generation in saved] == [10]


def test_status_is_not_behind_a_checkpoint_completed_during_a_wait(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.learner.publish()
    # The replay server comes back without a policy.
    served.server.stop()
    served.server = served.serve()
    publish = variables.PolicyPublisher.publish

    def train_meanwhile(self: Any, policy: variables.PublishedPolicy) -> None:
        served.agent.train_step_counter.assign(20)
        assert served.learner.save_and_wait()
        publish(self, policy)

    monkeypatch.setattr(variables.PolicyPublisher, "publish", train_meanwhile)
    deadline = time.monotonic() + 30  # Until the client is connected again.
    while not generations.list_generations(served.experiment):
        assert time.monotonic() < deadline
        served.learner.poll(served.client)
    (saved,) = generations.list_generations(served.experiment)
    assert saved.train_step == 20
    # Not from the file, which is written once a second.
    assert served.learner._status.get("train_step") == 20
