"""The learner's iterations in this process, against a real Reverb server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reverb
import tensorflow as tf

from tests.test_gradient_steps import Feed
from tfagents_system import generations, policy_export
from tfagents_system.algorithm import sac
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.experiment import Experiment
from tfagents_system.gradient_steps import GradientSteps
from tfagents_system.processes import learner, startup


def test_policies_are_published_within_an_iteration_and_never_one_that_is_not_finite(
    pendulum: tuple[Any, Any, Any],
    free_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learner, "PUBLISH_PERIOD_TRAIN_STEPS", 4)
    params, _, specs = pendulum
    params.num_steps_per_iter, params.num_iter = 10, 3
    params.checkpoint_period_itrs = 1
    codec = RowCodec(specs)
    experiment = Experiment(tmp_path)
    experiment.replay.mkdir()
    server = reverb.Server(
        replay.make_tables(codec, Pacing(1000, 1000, 1.0, 1000.0)),
        port=free_port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(experiment.replay)),
    )
    client = replay.connect(free_port)
    agent = sac.build_agent(params, specs)
    feed = Feed(codec)
    steps = GradientSteps(agent, codec, feed.dataset)
    status = startup.Status(experiment, "learner")
    published: list[int] = []
    publish = variables.PolicyPublisher.publish

    def record(self: Any, policy: variables.PublishedPolicy) -> None:
        published.append(policy.train_step)
        if policy.train_step == 14:  # As a step that goes wrong leaves them.
            weights = agent._actor_network.trainable_variables[0]
            weights.assign(tf.fill(weights.shape, np.nan))
        publish(self, policy)

    monkeypatch.setattr(variables.PolicyPublisher, "publish", record)
    trainer = learner.Learner(experiment, params, agent, steps, codec, client, status)
    feed.batches_allowed.release(30)
    try:
        with pytest.raises(UserError, match="inf or nan"):
            trainer.train()
    finally:
        feed.is_ending = True
        feed.batches_allowed.release()
    assert published == [4, 8, 10, 14]
    names = policy_export.list_checkpoints(experiment)
    assert names == ["policy_checkpoint_0000000010"]
    trainer._wait_until_saved()
    server.stop()
    assert [g.train_step for g in generations.list_generations(experiment)] == [10]
