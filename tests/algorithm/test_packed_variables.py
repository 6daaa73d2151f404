"""Variables as one array of bytes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfagents_system.algorithm.packed_variables import PackedVariables


def make_variables(factor: int) -> list[tf.Variable]:
    """Returns variables of different shapes and dtypes."""
    values = [
        np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        np.array(2**40 + 1, np.int64),
        np.array([3], np.uint8),
        np.arange(2.0),
    ]
    return [tf.Variable(value * np.asarray(factor, value.dtype)) for value in values]


def test_what_was_read_can_be_assigned() -> None:
    source, target = make_variables(2), make_variables(1)
    packed = PackedVariables(source).read()
    assert packed.shape == (24 + 8 + 1 + 16,)
    source[0].assign(tf.zeros((2, 3)))
    PackedVariables(target).assign(packed)
    for got, expected in zip(target, make_variables(2)):
        np.testing.assert_array_equal(got.numpy(), expected.numpy())


def test_arrays_are_those_of_the_variables_and_stay_as_they_were() -> None:
    variables = make_variables(3)
    packed = PackedVariables(variables)
    arrays = packed.unpack(packed.read())
    variables[0].assign(tf.zeros((2, 3)))
    for array, expected in zip(arrays, make_variables(3)):
        assert array.dtype == expected.dtype.as_numpy_dtype
        np.testing.assert_array_equal(array, expected.numpy())
    assert not packed.unpack(packed.read())[0].any()
