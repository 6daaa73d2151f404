"""Gradient steps that go on while the environment steps."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tf_agents.agents import tf_agent

from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.gradient_steps import GradientSteps
from tfagents_system.packed_variables import PackedVariables

# `finish` ends the loop.
_ENDLESS = 2**62


class _Batches:
    """What the loop takes batches from."""

    def __init__(self, queue: tf.queue.FIFOQueue) -> None:
        self._queue = queue

    def __iter__(self) -> _Batches:
        return self

    def __next__(self) -> tuple[tf.Tensor, ...]:
        columns = self._queue.dequeue()
        return (columns,) if isinstance(columns, tf.Tensor) else tuple(columns)


class BackgroundSteps(GradientSteps):
    """A gradient step for each batch, in a thread, while the caller goes on.

    All steps are one call of TensorFlow, a loop that waits for batches: to call it for
    each would cost a millisecond more (docs/benchmarks.md).
    """

    def __init__(
        self,
        agent: tf_agent.TFAgent,
        codec: RowCodec,
        batch_size: int,
        weights: PackedVariables,
    ) -> None:
        """Starts nothing yet.

        Args:
          agent: The agent to train.
          codec: Layout of the rows.
          batch_size: Rows in a batch.
          weights: Variables that are read after each step.
        """
        # One more than a step has: `finish` adds a batch that is not trained on.
        self._batches = tf.queue.FIFOQueue(
            2,
            [column.dtype for column in codec.columns],
            [(batch_size, *column.shape) for column in codec.columns],
        )
        packed_weights = tf.queue.FIFOQueue(2, tf.uint8, [(weights.num_bytes,)])
        self._packed_weights = packed_weights
        super().__init__(
            agent,
            codec,
            _Batches(self._batches),
            lambda: packed_weights.enqueue(weights.pack()),
        )
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._num_begun = 0
        self._last_batch: list[tf.Tensor] = []
        # A thread that waits within TensorFlow must not see the end of Python.
        atexit.register(_close, weakref.ref(self))

    def begin(self, columns: Sequence[NDArray[Any]]) -> NDArray[np.uint8] | None:
        """Begins a gradient step.

        Args:
          columns: A batch of packed rows, as `RowCodec.unpack` takes it.

        Returns:
          The weights after the step before, which this waits for; None if that has
          been waited for already.

        Raises:
          UserError: A loss became NaN or infinite.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, daemon=True)
            self._thread.start()
        self._last_batch = [tf.constant(column) for column in columns]
        self._batches.enqueue(self._last_batch)
        self._num_begun += 1
        return self._wait() if self._num_begun > 1 else None

    def finish(self) -> NDArray[np.uint8] | None:
        """Waits until no gradient step goes on.

        Returns:
          The weights after the last step; None if that has been waited for already.

        Raises:
          UserError: A loss became NaN or infinite.
        """
        if self._thread is None:
            return None
        packed = self._wait()
        self.stop()
        self._batches.enqueue(self._last_batch)
        self._thread.join()
        self._thread = None
        if self._error is not None:
            raise self._error
        self._stop.assign(False)
        return packed

    def close(self) -> None:
        """Ends the thread, whatever it does; there are no more steps."""
        if self._thread is not None:
            self._batches.close()
            self._thread.join()
            self._thread = None

    def _wait(self) -> NDArray[np.uint8]:
        """Returns the weights after the first step that has not been waited for."""
        try:
            packed = self._packed_weights.dequeue()
        except tf.errors.OutOfRangeError:
            raise self._error or RuntimeError("closed") from None
        self._num_begun -= 1
        # Not the tensor's own memory, which TensorFlow may use again.
        return np.array(packed, np.uint8)

    def _loop(self) -> None:
        try:
            self.run(_ENDLESS)
        except BaseException as error:  # For `_wait`, or of `close`.
            self._error = error
            self._packed_weights.close()


def _close(reference: weakref.ref[BackgroundSteps]) -> None:
    steps = reference()
    if steps is not None:
        steps.close()
