"""What tests of learning share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reverb
import tensorflow as tf
from numpy.typing import NDArray
from tf_agents.policies import py_tf_eager_policy

from tests.agents import trained_variables
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import Row, RowCodec
from tfagents_system.dataflow.variables import PublishedPolicy
from tfagents_system.experiment.directory import Experiment
from tfagents_system.learning import checkpoint

PACING = Pacing(capacity=100, min_size=1, samples_per_insert=4.0, slack_samples=400.0)


def make_batch(codec: RowCodec, seed: int) -> Any:
    """Returns a random batch of 8 transitions of Pendulum."""
    rng = np.random.default_rng(seed)
    packed = [
        codec.pack(rng.normal(size=3), rng.uniform(-2, 2, 1), 1.0, 1.0, np.ones(3))
        for _ in range(8)
    ]
    return codec.unpack(tuple(tf.constant(np.stack(column)) for column in zip(*packed)))


def trained_weights(agent: Any) -> list[NDArray[Any]]:
    """Returns the values of all that is trained."""
    return [variable.numpy() for variable in trained_variables(agent)]


def serve(
    experiment: Experiment, codec: RowCodec, port: int, pacing: Pacing = PACING
) -> reverb.Server:
    """Starts a replay server as the process does."""
    tables = replay.make_tables(codec, pacing)
    checkpoint.restore_replay_files(experiment, codec, tables[0])
    return reverb.Server(
        tables,
        port=port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(experiment.replay)),
    )


def read_policy(client: reverb.Client) -> PublishedPolicy:
    """Returns the policy that is published, of whatever run."""
    sample = next(client.sample(replay.VARIABLES_TABLE, emit_timesteps=False))
    run_id, train_step, packed = (column[0] for column in sample.data)
    return PublishedPolicy(run_id.tobytes().decode(), int(train_step), packed)


def make_row(codec: RowCodec, reward: float = 1.0) -> Row:
    """Returns a row of Pendulum."""
    return codec.pack(np.ones(3), np.ones(1), reward, 1.0, np.ones(3))


def train_step_of_model(path: Path) -> int:
    """Returns the train step at which a policy was exported as a SavedModel."""
    model = py_tf_eager_policy.SavedModelPyTFEagerPolicy(
        str(path), load_specs_from_pbtxt=True
    )
    return int(model.get_train_step())


def give_up(waited_secs: float) -> None:
    """Ends a wait for a replay server that takes no rows."""
    assert waited_secs < 30


def write_rows(port: int, codec: RowCodec, rows: list[Row]) -> None:
    """Writes rows, and waits until the replay has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "SHUFFLE_ITEMS", 1)  # No row is held back.
        writer = replay.ExperienceWriter(
            replay.connect(port), codec, NStep(), np.random.default_rng(0), give_up
        )
    for row in rows:
        writer.write(row)
    writer.flush()


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

    def end(self) -> None:
        """Ends what waits for a batch."""
        self.is_ending = True
        self.batches_allowed.release()

    def _generate(self) -> Iterator[Any]:
        while True:
            self.batches_allowed.acquire()
            if self.is_ending:
                return
            yield tuple(
                np.full(spec.shape, self.value, spec.dtype.as_numpy_dtype)
                for spec in self._signature
            )
