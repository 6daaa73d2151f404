"""The replay of the one-process mode: packed rows in NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tf_agents.trajectories import time_step as ts

from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.rows import Row, RowCodec

Columns = tuple[NDArray[Any], ...]


class RingBuffer:
    """The newest rows; the oldest ones are overwritten.

    Rows are numbered in the order in which they came, from 0: row i lies at i %
    capacity.

    Attributes:
      capacity: Rows that it holds at most.
      num_added: Rows ever added.
    """

    def __init__(
        self, codec: RowCodec, capacity: int, n_step: NStep | None = None
    ) -> None:
        """Reserves the memory; the system provides it as it is written to.

        Args:
          codec: Layout of the rows.
          capacity: Rows that it holds at most.
          n_step: Makes transitions of env steps; None: each is one.
        """
        self._codec, self._n_step = codec, n_step or NStep()
        self._columns = tuple(
            np.empty((capacity, *spec.shape), spec.dtype.as_numpy_dtype)
            for spec in codec.columns
        )
        self._length = codec.rows_per_item if codec.is_sequence else None
        self.capacity = capacity
        self.num_added = 0
        self._first_restored = 0  # Rows before it are not here.

    def __len__(self) -> int:
        """Returns the number of rows in it."""
        return self.num_added - self.first

    @property
    def first(self) -> int:
        """Number of the oldest row in it."""
        return max(self._first_restored, self.num_added - self.capacity)

    def add(
        self, time_step: ts.TimeStep, action: Any, next_time_step: ts.TimeStep
    ) -> None:
        """Adds an env step.

        Args:
          time_step: Before the action.
          action: Nest of arrays.
          next_time_step: What the environment returned.
        """
        for transition in self._n_step.add(time_step, action, next_time_step):
            self.append(self._codec.pack_transition(transition))

    def append(self, row: Row) -> None:
        """Adds one packed transition."""
        index = self.num_added % self.capacity
        for column, part in zip(self._columns, row):
            column[index] = part
        self.num_added += 1

    def can_sample(self) -> bool:
        """Returns whether there is a row, or a sequence of them."""
        return len(self) >= (self._length or 1)

    def sample(self, generator: np.random.Generator, batch_size: int) -> Columns:
        """Samples uniformly, with replacement.

        Args:
          generator: Draws the rows.
          batch_size: B, rows; or sequences, for recurrent networks.

        Returns:
          For each column an array of shape (B, width), of sequences (B, T, width).
        """
        stop = self.num_added - (self._length or 1) + 1
        indices = generator.integers(self.first, stop, batch_size)
        if self._length is not None:
            indices = indices[:, None] + np.arange(self._length)
        indices %= self.capacity
        return tuple(column.take(indices, axis=0) for column in self._columns)

    def read(self, start: int, stop: int) -> Columns:
        """Returns rows that are in it, in order, as copies."""
        indices = np.arange(start, stop) % self.capacity
        return tuple(column.take(indices, axis=0) for column in self._columns)

    def write(self, start: int, columns: Sequence[NDArray[Any]]) -> None:
        """Restores rows that `read` returned; the next row comes after them."""
        if self.num_added == 0:
            self._first_restored = start
        stop = start + len(columns[0])
        indices = np.arange(start, stop) % self.capacity
        for column, part in zip(self._columns, columns):
            column[indices] = part
        self.num_added = stop
