"""Variables as one array of bytes, read and assigned in one call.

One call instead of one for each variable, because policies are published and pulled
for days and CPython 3.11 does not get back 40 bytes of each eager tensor that
TensorFlow 2.15 makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


class PackedVariables:
    """Some variables, one after the other, as bytes.

    Attributes:
      num_bytes: Bytes of all together.
    """

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        """Compiles nothing yet.

        Args:
          variables: At least one, each of a fixed shape and of numbers.
        """
        self._variables = variables
        self._num_bytes = [
            variable.shape.num_elements() * variable.dtype.size
            for variable in variables
        ]
        self.num_bytes = sum(self._num_bytes)
        self._compiled_read = tf.function(self.pack, autograph=False)
        self._compiled_assign = tf.function(
            self._assign,
            input_signature=[tf.TensorSpec((None,), tf.uint8)],
            autograph=False,
        )

    def read(self) -> NDArray[np.uint8]:
        """Returns the values as they are now, in a new array."""
        # Not the tensor's own memory, which TensorFlow may use again.
        return np.array(self._compiled_read(), np.uint8)

    def unpack(self, packed: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Returns parts of what `read` returned, an array for each variable."""
        parts = np.split(packed, np.cumsum(self._num_bytes)[:-1])
        return [
            part.view(variable.dtype.as_numpy_dtype).reshape(variable.shape)
            for part, variable in zip(parts, self._variables)
        ]

    def assign(self, packed: NDArray[np.uint8]) -> None:
        """Assigns what `read` returned, to variables of the same shapes and dtypes."""
        self._compiled_assign(packed)

    def pack(self) -> tf.Tensor:
        """Returns the values as a tensor, to read them within a graph."""
        return tf.concat(
            [
                tf.reshape(tf.bitcast(variable, tf.uint8), [-1])
                for variable in self._variables
            ],
            axis=0,
        )

    def _assign(self, packed: tf.Tensor) -> None:
        parts = tf.split(packed, self._num_bytes)
        for part, variable in zip(parts, self._variables):
            # Bytes of one number along the last axis, as bitcast takes them.
            size = variable.dtype.size
            inner = [] if size == 1 else [size]
            part = tf.reshape(part, [*variable.shape, *inner])
            variable.assign(tf.bitcast(part, variable.dtype))
