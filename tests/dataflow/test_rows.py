"""The row layout: what is packed comes back, whatever the nest and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from tests.conftest import RECURRENT
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow.n_step import NStepTransition
from tfagents_system.dataflow.rows import RowCodec

ACTION = tensor_spec.BoundedTensorSpec((2,), tf.float32, -1.0, 1.0)
OBSERVATIONS: dict[str, Any] = {
    "vector": tf.TensorSpec((3,), tf.float32),
    "scalar": tf.TensorSpec((), tf.float32),
    "matrix": tf.TensorSpec((2, 3), tf.float32),
    "dict": {"b": tf.TensorSpec((2,), tf.float32), "a": tf.TensorSpec((1,), tf.int64)},
    "tuple": (tf.TensorSpec((4, 4, 1), tf.uint8), {"x": tf.TensorSpec((), tf.bool)}),
}


def random_value(spec: Any, rng: np.random.Generator) -> Any:
    """Returns a random nest of arrays that fits a spec."""
    return tf.nest.map_structure(
        lambda s: (
            rng.integers(0, 2, s.shape).astype(s.dtype.as_numpy_dtype)
            if s.dtype in (tf.bool, tf.uint8, tf.int64)
            else rng.normal(size=s.shape).astype(np.float32)
        ),
        spec,
    )


@pytest.mark.parametrize("name", sorted(OBSERVATIONS))
def test_round_trip(name: str) -> None:
    rng = np.random.default_rng(0)
    specs = Specs(OBSERVATIONS[name], ACTION)
    codec = RowCodec(specs)
    rows = []
    expected = []
    for index in range(4):
        observation = random_value(specs.observation, rng)
        next_observation = random_value(specs.observation, rng)
        action = random_value(ACTION, rng)
        reward, discount = float(index), float(index % 2)
        rows.append(codec.pack(observation, action, reward, discount, next_observation))
        expected.append((observation, action, reward, discount, next_observation))
    for row, spec in zip(rows[0], codec.columns):
        assert row.shape == spec.shape
        assert row.dtype == spec.dtype.as_numpy_dtype
    columns = tuple(tf.stack(column) for column in zip(*rows))
    transition = codec.unpack(columns)
    got = (
        transition.time_step.observation,
        transition.action_step.action,
        transition.next_time_step.reward,
        transition.next_time_step.discount,
        transition.next_time_step.observation,
    )
    batch = tf.nest.map_structure(lambda *arrays: np.stack(arrays), *expected)
    tf.nest.map_structure(np.testing.assert_array_equal, got, batch)


def test_floats_share_one_column() -> None:
    codec = RowCodec(Specs(OBSERVATIONS["vector"], ACTION))
    assert [tuple(spec.shape) for spec in codec.columns] == [(3 + 2 + 1 + 1 + 3,)]
    assert codec.bytes_per_row == 40


def test_step_types_are_mid_and_constants_are_neutral() -> None:
    codec = RowCodec(Specs(OBSERVATIONS["vector"], ACTION))
    row = codec.pack(np.ones(3), np.ones(2), 5.0, 0.0, np.ones(3))
    transition = codec.unpack(tuple(tf.constant(c)[None] for c in row))
    assert transition.time_step.step_type.numpy().tolist() == [1]
    assert transition.next_time_step.step_type.numpy().tolist() == [1]
    assert transition.time_step.discount.numpy().tolist() == [1.0]
    assert transition.action_step.info == ()


@pytest.mark.parametrize("sequence_length", [None, 5])
def test_row_of_a_transition_has_its_parts(sequence_length: int | None) -> None:
    codec = RowCodec(Specs(OBSERVATIONS["vector"], ACTION), sequence_length)
    before, after = np.ones(3, np.float32), np.full(3, 2, np.float32)
    for time_step in (ts.restart(before), ts.transition(before, 9.0)):
        is_first = bool(time_step.is_first())
        transition = NStepTransition(time_step, np.zeros(2), 5.0, 0.25, after)
        (row,) = codec.pack_transition(transition)
        flag = [] if sequence_length is None else [is_first]
        np.testing.assert_array_equal(row, [1, 1, 1, 0, 0, 5, 0.25, 2, 2, 2, *flag])


@pytest.mark.parametrize("is_recurrent", [False, True])
def test_layout_is_that_of_the_hyperparameters(load: Any, is_recurrent: bool) -> None:
    recurrent = RECURRENT if is_recurrent else {}
    params = load(train_params={"recurrent_sequence_length": 7, **recurrent})
    codec = RowCodec.of(params, Specs(OBSERVATIONS["vector"], ACTION))
    assert codec.is_sequence == is_recurrent
    assert codec.rows_per_item == (7 if is_recurrent else 8)
    assert codec.rows_per_batch(16) == (16 * 7 if is_recurrent else 16)
