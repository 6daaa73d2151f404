"""The layout of experience between a worker and the learner.

A transition travels as one row: observation, action, reward, discount and next
observation flattened side by side, one column for each dtype (nearly always a single
float32 column). Reverb and tf.data cost time by the tensor, not by the byte, so a
packed row is several times cheaper than a nest of small tensors.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfagents_system.algorithm.specs import Specs


@dataclasses.dataclass(frozen=True)
class _Field:
    """Where one array of a transition lies in a row."""

    column: int
    start: int
    size: int
    shape: tuple[int, ...]


class RowCodec:
    """Packs transitions into rows (NumPy) and batches of rows back (TensorFlow)."""

    def __init__(self, specs: Specs) -> None:
        """Lays out the row.

        Args:
          specs: Specs of the environment.
        """
        scalar = tf.TensorSpec((), tf.float32)
        self._nest = (
            specs.observation,
            specs.action,
            scalar,
            scalar,
            specs.observation,
        )
        self._dtypes: list[tf.DType] = []
        self._fields: list[_Field] = []
        widths: list[int] = []
        for spec in tf.nest.flatten(self._nest):
            if spec.dtype not in self._dtypes:
                self._dtypes.append(spec.dtype)
                widths.append(0)
            column = self._dtypes.index(spec.dtype)
            shape = tuple(spec.shape)
            size = math.prod(shape)
            self._fields.append(_Field(column, widths[column], size, shape))
            widths[column] += size
        self._widths = widths
        self._numpy_dtypes = [dtype.as_numpy_dtype for dtype in self._dtypes]

    @property
    def columns(self) -> tuple[tf.TensorSpec, ...]:
        """The columns of one row, each with shape (width,)."""
        return tuple(
            tf.TensorSpec((width,), dtype, f"rows_{dtype.name}")
            for width, dtype in zip(self._widths, self._dtypes)
        )

    @property
    def bytes_per_row(self) -> int:
        """Size of one packed transition, without Reverb's own overhead."""
        return sum(
            width * dtype.size for width, dtype in zip(self._widths, self._dtypes)
        )

    def pack(
        self,
        observation: Any,
        action: Any,
        reward: float,
        discount: float,
        next_observation: Any,
    ) -> tuple[NDArray[Any], ...]:
        """Packs one transition.

        Args:
          observation: Nest of arrays, before the action.
          action: The action taken.
          reward: Reward of the step.
          discount: Discount of the step: 0 in a terminal state, else 1.
          next_observation: Nest of arrays, after the action.

        Returns:
          One array of shape (width,) for each column.
        """
        row = tuple(
            np.empty(width, dtype)
            for width, dtype in zip(self._widths, self._numpy_dtypes)
        )
        arrays = tf.nest.flatten(
            (observation, action, reward, discount, next_observation)
        )
        for field, array in zip(self._fields, arrays):
            part = row[field.column][field.start : field.start + field.size]
            part[:] = array if len(field.shape) <= 1 else np.reshape(array, -1)
        return row

    def unpack(self, columns: tuple[tf.Tensor, ...]) -> trajectory.Transition:
        """Unpacks a batch of rows.

        Args:
          columns: For each column a tensor of shape (B, width).

        Returns:
          The transitions, leaves of shape (B, ...). What SAC does not read is
          filled: step types MID, and reward 0, discount 1 of the first time step.
        """
        leaves = []
        for field in self._fields:
            part = columns[field.column][:, field.start : field.start + field.size]
            leaves.append(tf.reshape(part, (-1, *field.shape)))
        observation, action, reward, discount, next_observation = (
            tf.nest.pack_sequence_as(self._nest, leaves)
        )
        mid = tf.fill(tf.shape(reward), ts.StepType.MID)
        return trajectory.Transition(
            time_step=ts.TimeStep(
                mid, tf.zeros_like(reward), tf.ones_like(discount), observation
            ),
            action_step=policy_step.PolicyStep(action),
            next_time_step=ts.TimeStep(mid, reward, discount, next_observation),
        )
