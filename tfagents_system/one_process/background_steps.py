"""Gradient steps that are computed while the environment steps."""

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

from tfagents_system.acting.policies import Policy
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.learning.gradient_steps import GradientSteps

# `finish` ends the loop.
_ENDLESS = 2**62


class _Batches:
    """The dataset of the loop: batches out of a queue."""

    def __init__(self, queue: tf.queue.FIFOQueue) -> None:
        self._queue = queue

    def __iter__(self) -> _Batches:
        return self

    def __next__(self) -> tuple[tf.Tensor, ...]:
        columns = self._queue.dequeue()
        return (columns,) if isinstance(columns, tf.Tensor) else tuple(columns)


class BackgroundSteps:
    """Takes a gradient step for each batch while the caller goes on.

    All steps are one call of TensorFlow, a loop in a thread that waits for batches: a
    call for each would cost a millisecond more (docs/benchmarks.md). The policy gets
    the weights that a step leaves. A policy without weights of its own reads the
    variables that a step changes: there, each step is taken at once.

    Attributes:
      steps: The gradient steps, for what is measured of them; call `finish` before.
    """

    def __init__(
        self,
        agent: tf_agent.TFAgent,
        codec: RowCodec,
        batch_size: int,
        policy: Policy,
    ) -> None:
        """Starts nothing yet.

        Args:
          agent: The agent to train.
          codec: Layout of the rows.
          batch_size: Rows in a batch.
          policy: Gets the weights after each step.
        """
        self._policy = policy
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        weights = policy.weights
        if weights is None:
            self.steps = GradientSteps(agent, codec)
            return
        # One more than a step needs: `finish` adds a batch that is not trained on.
        self._batches = tf.queue.FIFOQueue(
            2,
            [column.dtype for column in codec.columns],
            [(batch_size, *column.shape) for column in codec.columns],
        )
        packed_weights = tf.queue.FIFOQueue(2, tf.uint8, [(weights.num_bytes,)])
        self._packed_weights = packed_weights
        self.steps = GradientSteps(
            agent,
            codec,
            _Batches(self._batches),
            lambda: packed_weights.enqueue(weights.pack()),
        )
        # A thread that waits within TensorFlow must not outlive Python's own end.
        atexit.register(_close, weakref.ref(self))

    def begin(self, columns: Sequence[NDArray[Any]]) -> None:
        """Begins a gradient step, and waits for the one before: the policy gets it.

        Args:
          columns: A batch of packed rows, as `RowCodec.unpack` takes it.

        Raises:
          UserError: A loss became NaN or infinite.
        """
        if self._policy.weights is None:
            self.steps.step(columns)
            self._policy.refresh()
            return
        is_first = self._thread is None
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, daemon=True)
            self._thread.start()
        self._batches.enqueue([tf.constant(column) for column in columns])
        if not is_first:
            self._wait()

    def finish(self) -> None:
        """Waits until no gradient step is under way: the policy gets the last one.

        Raises:
          UserError: A loss became NaN or infinite.
        """
        if self._thread is None:
            return
        self._wait()
        self.steps.stop()
        queue = self._batches
        queue.enqueue([tf.zeros(*spec) for spec in zip(queue.shapes, queue.dtypes)])
        self._thread.join()
        self._thread = None
        if self._error is not None:
            raise self._error
        self.steps.allow()

    def close(self) -> None:
        """Ends the thread, whatever it does; there are no more steps."""
        if self._thread is not None:
            self._batches.close()
            self._thread.join()
            self._thread = None

    def _wait(self) -> None:
        """Waits for the oldest step that has not been waited for."""
        try:
            packed = self._packed_weights.dequeue()
        except tf.errors.OutOfRangeError:
            raise self._error or RuntimeError("closed") from None
        # A copy: TensorFlow may use the tensor's own memory again.
        self._policy.refresh(np.array(packed, np.uint8))

    def _loop(self) -> None:
        """Takes the steps, in the thread."""
        try:
            self.steps.run(_ENDLESS)
        except BaseException as error:  # For `_wait`, or because of `close`.
            self._error = error
            self._packed_weights.close()


def _close(reference: weakref.ref[BackgroundSteps]) -> None:
    steps = reference()
    if steps is not None:
        steps.close()
