"""What processes do again and again for days must not take memory each time.

Python's own count of its blocks of memory is exact, so that a few hundred calls show
what would fill gigabytes after some million.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.learning import helpers
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.dataflow.variables import PolicyClient, PolicyPublisher
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import LearnerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import ScalarWriter, Steps
from tfagents_system.learning import build
from tfagents_system.learning.agent_state import AgentWriter

WARM_UP_CALLS = 20
NUM_CALLS = 100


def blocks_kept(call: Callable[[int], object]) -> float:
    """Returns the blocks of memory that Python keeps of each call."""
    for index in range(WARM_UP_CALLS):
        call(index)
    gc.collect()
    before = sys.getallocatedblocks()
    for index in range(NUM_CALLS):
        call(WARM_UP_CALLS + index)
    gc.collect()
    return (sys.getallocatedblocks() - before) / NUM_CALLS


@pytest.fixture
def trained(pendulum: tuple[Any, Any, Any]) -> Any:
    """Returns an agent that has taken a gradient step."""
    params, _, specs = pendulum
    agent = build.build_agent(params, specs)
    agent.train(helpers.make_batch(RowCodec(specs), seed=0))
    return agent


@pytest.fixture
def port(
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int
) -> Iterator[int]:
    """Yields the port of a replay server."""
    experiment = Experiment(tmp_path / "experiment")
    experiment.root.mkdir()
    server = helpers.serve(experiment, RowCodec(pendulum[2]), free_port)
    yield free_port
    server.stop()


def test_writing_summaries(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    status = StatusWriter(experiment, "learner", LearnerStatus)
    writer = ScalarWriter(experiment.train_summaries("learner"), status)

    def write(index: int) -> None:
        # Numbers that have not been before, as those of a training.
        scalars = {f"Losses/{tag}": index + tag / 100 for tag in range(20)}
        writer.write(scalars, Steps(index, 10 * index))

    assert blocks_kept(write) < 60  # A number written by tf.summary keeps 11.


def test_publishing_and_pulling_the_policy(trained: Any, port: int) -> None:
    client = replay.connect(port)
    publisher = PolicyPublisher(trained, client, "run")
    policies = PolicyClient(trained, client, "run")
    assert len(trained.collect_policy.variables()) == 6

    def publish_and_pull(_: int) -> None:
        publisher.publish()
        assert policies.pull()[1]

    # Reading a variable keeps 2 blocks, assigning one 1.
    assert blocks_kept(publish_and_pull) < 12


def test_writing_the_agent(trained: Any, tmp_path: Path) -> None:
    writer = AgentWriter(trained)
    # An eager write keeps some for each of 50 variables.
    assert blocks_kept(lambda _: writer.write(tmp_path / "agent")) < 20
