"""The replay: its tables, the workers' writer, and the learner's dataset.

Reverb waits forever by default. What waits here takes a callback, so that the caller
can say what it waits for, and give up.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any, Callable

import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import Row, RowCodec

Client = reverb.Client

EXPERIENCE_TABLE = "experience"
VARIABLES_TABLE = "variables"

# An item's rows are drawn from the recent rows of a worker, this many items of them:
# consecutive ones are too alike to be sampled together.
SHUFFLE_ITEMS = 16
# Rows that a worker may have under way. Above this, `write` waits for the replay
# server, so that the rate limiter holds a worker within an episode too.
MAX_PENDING_ROWS = 32
FLUSH_TIMEOUT_MS = 1000


@dataclasses.dataclass(frozen=True)
class ReplayInfo:
    """What the replay server says of itself.

    Attributes:
      num_rows: Transitions in the replay.
      num_inserts: Transitions ever inserted: the env steps of the whole training.
      num_samples: Transitions ever sampled, those in flight included.
      has_policy: Whether the learner has published a policy.
    """

    num_rows: int
    num_inserts: int
    num_samples: int
    has_policy: bool


def item_signature(codec: RowCodec) -> tuple[tf.TensorSpec, ...]:
    """Returns an item's columns, each of shape (1, rows_per_item, width)."""
    return tuple(
        tf.TensorSpec(
            (1, codec.rows_per_item, *column.shape), column.dtype, column.name
        )
        for column in codec.columns
    )


def make_tables(codec: RowCodec, pacing: Pacing) -> list[reverb.Table]:
    """Makes the experience table and the table of the newest policy variables."""
    rows_per_item = codec.rows_per_item
    min_items = math.ceil(pacing.min_size / rows_per_item)
    # An item inserted and an item sampled are both as many transitions.
    target_diff = min_items * pacing.samples_per_insert
    slack = pacing.slack_samples / rows_per_item
    return [
        reverb.Table(
            name=EXPERIENCE_TABLE,
            sampler=reverb.selectors.Uniform(),
            remover=reverb.selectors.Fifo(),
            max_size=math.ceil(pacing.capacity / rows_per_item),
            rate_limiter=reverb.rate_limiters.SampleToInsertRatio(
                samples_per_insert=pacing.samples_per_insert,
                min_size_to_sample=min_items,
                error_buffer=(
                    target_diff - slack,
                    # What is fetched ahead counts as sampled, but is not trained on.
                    target_diff + slack - pacing.prefetched_samples / rows_per_item,
                ),
            ),
            signature=item_signature(codec),
        ),
        # No signature: Reverb restores a signature with its checkpoint and would then
        # refuse the variables of a changed network.
        reverb.Table(
            name=VARIABLES_TABLE,
            sampler=reverb.selectors.Fifo(),
            remover=reverb.selectors.Fifo(),
            max_size=1,
            rate_limiter=reverb.rate_limiters.MinSize(1),
        ),
    ]


def server_address(port: int, host: str = "localhost") -> str:
    """Returns the address of a replay server."""
    return f"{host}:{port}"


def connect(port: int, host: str = "localhost") -> reverb.Client:
    """Returns a client of the replay server; it connects when it is used."""
    return reverb.Client(server_address(port, host))


def read_replay(client: reverb.Client, timeout_secs: int = 2) -> ReplayInfo | None:
    """Asks the replay server for its state.

    Args:
      client: The client.
      timeout_secs: How long to wait for the answer, whole seconds.

    Returns:
      The state, or None if the server does not answer.
    """
    try:
        tables = client.server_info(timeout=timeout_secs)
    except (reverb.errors.ReverbError, RuntimeError):
        return None
    experience = tables[EXPERIENCE_TABLE]
    limiter = experience.rate_limiter_info
    rows_per_item = experience.signature[0].shape[1]
    return ReplayInfo(
        num_rows=experience.current_size * rows_per_item,
        num_inserts=limiter.insert_stats.completed * rows_per_item,
        num_samples=limiter.sample_stats.completed * rows_per_item,
        has_policy=tables[VARIABLES_TABLE].current_size > 0,
    )


class ExperienceWriter:
    """Writes a worker's experience into the replay, several rows an item."""

    def __init__(
        self,
        client: reverb.Client,
        codec: RowCodec,
        n_step: NStep,
        generator: np.random.Generator,
        on_wait: Callable[[float], None],
    ) -> None:
        """Opens a writer.

        Args:
          client: The client; a restart of the server is survived, and rows that were
            under way are sent again.
          codec: Layout of the rows.
          n_step: Makes transitions of env steps.
          generator: Draws the rows of an item.
          on_wait: Called about every second of waiting for the replay server with the
            seconds waited so far; may raise to give up.
        """
        self._writer = client.trajectory_writer(num_keep_alive_refs=1)
        self._codec, self._n_step, self._generator = codec, n_step, generator
        self._on_wait = on_wait
        keeps_order = codec.is_sequence or codec.rows_per_item == 1
        self._max_rows = codec.rows_per_item * (1 if keeps_order else SHUFFLE_ITEMS)
        self._max_pending = max(1, MAX_PENDING_ROWS // codec.rows_per_item)
        # They may be of several episodes: rows do not depend on each other.
        self._rows: list[Row] = []

    def add(
        self, time_step: ts.TimeStep, action: Any, next_time_step: ts.TimeStep
    ) -> None:
        """Adds an env step; waits while too many rows are under way.

        Args:
          time_step: Before the action.
          action: Nest of arrays.
          next_time_step: What the environment returned.
        """
        for transition in self._n_step.add(time_step, action, next_time_step):
            self.write(self._codec.pack_transition(transition))

    def write(self, row: Row) -> None:
        """Writes one packed transition; waits while too many are under way.

        It travels when its item is drawn or complete; until then it is held back.
        """
        self._rows.append(row)
        if len(self._rows) < self._max_rows:
            return
        rows = self._take_rows()
        self._writer.append(tuple(np.stack(column) for column in zip(*rows)))
        self._writer.create_item(
            EXPERIENCE_TABLE,
            priority=1.0,
            trajectory=tf.nest.map_structure(
                lambda column: column[-1:], self._writer.history
            ),
        )
        self._flush(self._max_pending)

    def _take_rows(self) -> list[Row]:
        """Takes the rows of the next item: all there are, or random ones of them."""
        rows_per_item = self._codec.rows_per_item
        if len(self._rows) == rows_per_item:
            rows, self._rows = self._rows, []
            return rows
        drawn = self._generator.choice(len(self._rows), rows_per_item, replace=False)
        rows = [self._rows[index] for index in drawn]
        for index in sorted(drawn, reverse=True):
            del self._rows[index]
        return rows

    def flush(self) -> None:
        """Waits until the server has confirmed every item."""
        self._flush(0)

    def _flush(self, max_pending: int) -> None:
        started = time.monotonic()
        while True:
            try:
                self._writer.flush(max_pending, timeout_ms=FLUSH_TIMEOUT_MS)
                return
            except reverb.errors.DeadlineExceededError:
                self._on_wait(time.monotonic() - started)


def make_dataset(
    port: int,
    codec: RowCodec,
    batch_size: int,
    prefetch_batches: int,
    batches_per_fetch: int | None = None,
) -> tf.data.Dataset:
    """Makes the learner's input: batches of rows or sequences sampled uniformly.

    The rows for several batches are sampled at once and shuffled; sequences stay as
    they are.

    Args:
      port: TCP port of the replay server.
      codec: Layout of the rows.
      batch_size: Transitions, or sequences, in a batch (B).
      prefetch_batches: Batches fetched ahead, beyond those of the next fetch.
      batches_per_fetch: Batches sampled at once; None: the most of the codec.

    Returns:
      An endless dataset of tuples, one tensor of shape (B, width) a column, for
      sequences (B, T, width).
    """
    signature = item_signature(codec)
    num_batches = batches_per_fetch or codec.max_batches_per_fetch
    num_rows = num_batches * codec.rows_per_batch(batch_size)
    num_items = math.ceil(num_rows / codec.rows_per_item)
    if codec.is_sequence:
        batch_shape: tuple[int, ...] = (batch_size, codec.rows_per_item)
    else:
        batch_shape = (batch_size,)

    def make_batches(sample: reverb.ReplaySample) -> tuple[tf.Tensor, ...]:
        order = tf.range(num_items * codec.rows_per_item)
        if not codec.is_sequence:
            order = tf.random.shuffle(order)[:num_rows]
        return tuple(
            tf.reshape(
                tf.gather(tf.reshape(items, (-1, *column.shape)), order),
                (num_batches, *batch_shape, *column.shape),
            )
            for items, column in zip(sample.data, codec.columns)
        )

    dataset = reverb.TrajectoryDataset(
        server_address=server_address(port),
        table=EXPERIENCE_TABLE,
        dtypes=tuple(spec.dtype for spec in signature),
        shapes=tuple(spec.shape for spec in signature),
        max_in_flight_samples_per_worker=num_items,
        # A second one costs CPU time and is slower on few cores.
        num_workers_per_iterator=1,
    )
    # Batch first: whatever comes before it runs for each item.
    dataset = dataset.batch(num_items, drop_remainder=True)
    dataset = dataset.map(make_batches).prefetch(1)
    dataset = dataset.unbatch().prefetch(prefetch_batches)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 2
    return dataset.with_options(options)
