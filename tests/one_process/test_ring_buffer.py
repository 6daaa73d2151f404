"""The replay of the one-process mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.one_process.ring_buffer import RingBuffer

SPECS = Specs(
    {"a": tf.TensorSpec((2,), tf.float32), "b": tf.TensorSpec((), tf.uint8)},
    tensor_spec.BoundedTensorSpec((1,), tf.float32, -1.0, 1.0),
)


def row(codec: RowCodec, number: int) -> Any:
    """Returns a row in which everything is its number."""
    observation = {"a": np.full(2, number, np.float32), "b": np.uint8(number)}
    return codec.pack(observation, np.full(1, number), number, 1.0, observation)


def filled(codec: RowCodec, capacity: int, count: int) -> RingBuffer:
    """Returns a buffer to which so many rows were added."""
    buffer = RingBuffer(codec, capacity)
    for number in range(count):
        buffer.append(row(codec, number))
    return buffer


@pytest.mark.parametrize(("count", "oldest"), [(1, 0), (7, 0), (10, 0), (23, 13)])
def test_sample_is_uniform_over_the_newest_rows(count: int, oldest: int) -> None:
    codec = RowCodec(SPECS)
    buffer = filled(codec, 10, count)
    assert len(buffer) == count - oldest
    assert buffer.first == oldest
    columns = buffer.sample(np.random.default_rng(0), 20_000)
    numbers, counts = np.unique(columns[0][:, 0], return_counts=True)
    np.testing.assert_array_equal(numbers, np.arange(oldest, count))
    expected = 20_000 / len(buffer)
    assert (np.abs(counts - expected) < 6 * np.sqrt(expected)).all()
    # The columns of a row stay together.
    np.testing.assert_array_equal(columns[0][:, 0], columns[1][:, 0])
    np.testing.assert_array_equal(columns[0][:, 0], columns[0][:, 3])


def test_sequences_are_consecutive_also_over_the_border() -> None:
    codec = RowCodec(SPECS, sequence_length=4)
    buffer = filled(codec, 10, 3)
    assert not buffer.can_sample()
    buffer = filled(codec, 10, 17)
    assert buffer.can_sample()
    numbers = buffer.sample(np.random.default_rng(0), 1000)[0][:, :, 0]
    assert numbers.shape == (1000, 4)
    assert (np.diff(numbers, axis=1) == 1).all()
    assert set(numbers[:, 0]) == set(range(7, 14))


def test_what_was_read_can_be_written() -> None:
    codec = RowCodec(SPECS)
    buffer = filled(codec, 10, 17)
    copy = RingBuffer(codec, 10)
    copy.write(7, buffer.read(7, 12))
    copy.write(12, buffer.read(12, 17))
    assert copy.num_added == 17
    for mine, theirs in zip(copy.read(7, 17), buffer.read(7, 17)):
        np.testing.assert_array_equal(mine, theirs)
    copy.append(row(codec, 17))
    buffer.append(row(codec, 17))
    for mine, theirs in zip(copy.read(8, 18), buffer.read(8, 18)):
        np.testing.assert_array_equal(mine, theirs)


def test_env_steps_become_n_step_transitions() -> None:
    codec = RowCodec(SPECS)
    buffer = RingBuffer(codec, 10, NStep(2, gamma=0.5))

    def observe(number: int) -> Any:
        return {"a": np.full(2, number, np.float32), "b": np.uint8(number)}

    time_step = ts.restart(observe(0))
    for number, step in enumerate((ts.transition, ts.transition, ts.termination), 1):
        following = step(observe(number), float(number))
        buffer.add(time_step, np.zeros(1, np.float32), following)
        # One step behind, until the episode ends.
        assert buffer.num_added == (0, 1, 3)[number - 1]
        time_step = following
    batch = codec.unpack(tuple(tf.constant(c) for c in buffer.read(0, 3)))
    assert batch.time_step.observation["b"].numpy().tolist() == [0, 1, 2]
    assert batch.next_time_step.observation["b"].numpy().tolist() == [2, 3, 3]
    assert batch.next_time_step.reward.numpy().tolist() == [2.0, 3.5, 3.0]
    assert batch.next_time_step.discount.numpy().tolist() == [0.5, 0.0, 0.0]
