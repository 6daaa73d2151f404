"""The layout of experience between a worker and the learner.

A transition travels as one row: observation, action, reward, discount and next
observation flattened side by side, one column for each dtype (nearly always a single
float32 column). Reverb and tf.data cost time by the tensor, not by the byte, so a
packed row is several times cheaper than a nest of small tensors. For the same reason
several rows share an item of Reverb: recent ones that were shuffled, or for recurrent
networks consecutive ones.
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
from tfagents_system.dataflow.n_step import NStepTransition
from tfagents_system.settings.hyperparameters import Hyperparameters

# One array of shape (width,) for each column of a packed transition.
Row = tuple[NDArray[Any], ...]

# Rows that share an item: sampling, inserting and storing cost by the item
# (docs/benchmarks.md).
_ROWS_PER_ITEM = 8
_MAX_BATCHES_PER_FETCH = 16
# A larger row, such as an image, has an item of its own: it costs by the byte, and
# shuffling as many of them would take gigabytes.
_LARGE_ROW_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class _Field:
    """Where one array of a transition lies in a row."""

    column: int
    start: int
    size: int
    shape: tuple[int, ...]


class RowCodec:
    """Packs transitions into rows (NumPy) and batches of rows back (TensorFlow).

    Attributes:
      is_sequence: Whether the rows of an item are consecutive.
      rows_per_item: How many there are.
    """

    def __init__(self, specs: Specs, sequence_length: int | None = None) -> None:
        """Lays out the row.

        Args:
          specs: Specs of the environment.
          sequence_length: Consecutive rows in an item (T), for recurrent networks;
            None: rows are trained on one by one.
        """
        scalar = tf.TensorSpec((), tf.float32)
        self.is_sequence = sequence_length is not None
        self._nest = (
            specs.observation,
            specs.action,
            scalar,
            scalar,
            specs.observation,
            # Only a network with a memory needs to know where episodes begin.
            (scalar,) if self.is_sequence else (),
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
        is_large = self.bytes_per_row > _LARGE_ROW_BYTES
        self.rows_per_item = sequence_length or (1 if is_large else _ROWS_PER_ITEM)

    @classmethod
    def of(cls, params: Hyperparameters, specs: Specs) -> RowCodec:
        """Returns the layout for what the user trains."""
        return cls(
            specs, params.recurrent_sequence_length if params.recurrent else None
        )

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

    @property
    def max_batches_per_fetch(self) -> int:
        """The most batches that the learner samples at once.

        It shuffles their rows, so that hardly any two rows of a batch come from the
        same item. Where that is impossible or not needed, it is one batch.
        """
        is_shuffled = self.rows_per_item > 1 and not self.is_sequence
        return _MAX_BATCHES_PER_FETCH if is_shuffled else 1

    def rows_per_batch(self, batch_size: int) -> int:
        """Returns the rows in a batch: `batch_size` of them, or of sequences."""
        return batch_size * (self.rows_per_item if self.is_sequence else 1)

    def pack(
        self,
        observation: Any,
        action: Any,
        reward: float,
        discount: float,
        next_observation: Any,
        is_first: bool = False,
    ) -> Row:
        """Packs one transition.

        Args:
          observation: Nest of arrays, before the action.
          action: The action taken.
          reward: Reward of the step.
          discount: Discount of the step: 0 in a terminal state, otherwise 1.
          next_observation: Nest of arrays, after the action.
          is_first: Whether an episode begins with this transition.

        Returns:
          One array of shape (width,) for each column.
        """
        row = tuple(
            np.empty(width, dtype)
            for width, dtype in zip(self._widths, self._numpy_dtypes)
        )
        flag = (is_first,) if self.is_sequence else ()
        arrays = tf.nest.flatten(
            (observation, action, reward, discount, next_observation, flag)
        )
        for field, array in zip(self._fields, arrays):
            part = row[field.column][field.start : field.start + field.size]
            part[:] = array if len(field.shape) <= 1 else np.reshape(array, -1)
        return row

    def pack_transition(self, transition: NStepTransition) -> Row:
        """Packs a transition of an episode."""
        return self.pack(
            transition.time_step.observation,
            transition.action,
            transition.reward,
            transition.discount,
            transition.next_observation,
            is_first=transition.time_step.step_type == ts.StepType.FIRST,
        )

    def unpack(self, columns: tuple[tf.Tensor, ...]) -> trajectory.Transition:
        """Unpacks a batch of rows.

        Args:
          columns: For each column a tensor of shape (B, width), of sequences
            (B, T, width).

        Returns:
          The transitions, leaves of shape (B, ...) or (B, T, ...). What SAC does not
          read is filled: reward 0, discount 1 of the first time step. Step types are
          MID, and FIRST where a network's memory must begin anew.
        """
        leaves = []
        for field in self._fields:
            column = columns[field.column]
            part = column[..., field.start : field.start + field.size]
            # The batch size stays known: the agent splits the batch.
            leaves.append(tf.reshape(part, (*column.shape[:-1], *field.shape)))
        observation, action, reward, discount, next_observation, is_first = (
            tf.nest.pack_sequence_as(self._nest, leaves)
        )
        step_type = tf.fill(tf.shape(reward), ts.StepType.MID)
        if self.is_sequence:
            step_type = tf.where(is_first[0] > 0.5, ts.StepType.FIRST, step_type)
        return trajectory.Transition(
            time_step=ts.TimeStep(
                step_type, tf.zeros_like(reward), tf.ones_like(discount), observation
            ),
            action_step=policy_step.PolicyStep(action),
            # An episode's first next step begins its memory anew, for the one before
            # belongs to another episode.
            next_time_step=ts.TimeStep(step_type, reward, discount, next_observation),
        )
