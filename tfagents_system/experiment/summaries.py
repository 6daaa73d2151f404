"""TensorBoard: every scalar against train steps and against env steps.

`tag` has the train step on its axis, `<group>_vs_env_step/<name>` the env step, as
TF-Agents names them. The train step is that of the policy which acted last.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from tfagents_system.experiment.status_writer import StatusWriter

FLUSH_PERIOD_MS = 10_000

logger = logging.getLogger(__name__)


class Steps(NamedTuple):
    """When a scalar was measured.

    Attributes:
      train_step: Gradient steps done.
      env_step: Env steps of the whole training.
    """

    train_step: int
    env_step: int


class ScalarWriter:
    """Writes scalars to one folder of event files.

    After a crash the learner takes some steps again; those are not written twice, so
    no curve jumps back.
    """

    def __init__(self, folder: Path, status: StatusWriter[Any]) -> None:
        """Opens the folder.

        Args:
          folder: Where TensorBoard finds the events.
          status: The process's status; remembers what was written over restarts.
        """
        self._writer = tf.summary.create_file_writer(
            str(folder), flush_millis=FLUSH_PERIOD_MS
        )
        self._status = status
        self._key = folder.parent.name
        self._last = Steps(*status.value.written_steps.get(self._key, (0, 0)))

    def write(self, scalars: Mapping[str, float | None], steps: Steps) -> None:
        """Writes scalars by `group/name` tag against both steps; None is left out.

        On a full disk they are lost, and that is logged: training goes on.
        """
        last = self._last
        by_train_step = {tag: v for tag, v in scalars.items() if v is not None}
        by_env_step = {
            tag.replace("/", "_vs_env_step/", 1): value
            for tag, value in by_train_step.items()
        }
        try:
            if steps.train_step >= last.train_step:
                self._write(by_train_step, steps.train_step)
            if steps.env_step >= last.env_step:
                self._write(by_env_step, steps.env_step)
        except tf.errors.OpError as error:
            logger.warning("summaries not written: %s", error.message)
            return
        self._last = Steps(*map(max, steps, last))
        with self._status.edit() as status:
            status.written_steps[self._key] = self._last

    def _write(self, scalars: Mapping[str, float], step: int) -> None:
        # Not tf.summary.scalar: TensorFlow keeps every Python number that it has ever
        # made a tensor of.
        summary = summary_pb2.Summary()
        for tag, value in scalars.items():
            summary.MergeFrom(scalar_pb(tag, value))
        with self._writer.as_default():
            tf.summary.experimental.write_raw_pb(
                summary.SerializeToString(), np.asarray(step, np.int64)
            )

    def flush(self) -> None:
        """Writes what is buffered to disk."""
        with contextlib.suppress(tf.errors.OpError):  # `write` has logged it.
            self._writer.flush()


def write_hyperparameters(folder: Path, values: Mapping[str, Any]) -> None:
    """Writes what TensorBoard's HPARAMS page shows of a training; once a start.

    Args:
      folder: The experiment directory: runs below it are of this training.
      values: By name; what is no number, text or truth value is shown as text.
    """
    shown = {
        name: value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in values.items()
    }
    suffix = ".hparams"
    try:
        for old in folder.glob(f"events.out.tfevents.*{suffix}"):
            old.unlink(missing_ok=True)
        writer = tf.summary.create_file_writer(str(folder), filename_suffix=suffix)
        with writer.as_default():
            tf.summary.experimental.write_raw_pb(
                hparams_pb(shown).SerializeToString(), np.asarray(0, np.int64)
            )
        writer.close()
    except (OSError, tf.errors.OpError) as error:
        logger.warning("hyperparameters not written: %s", error)


class RateMeter:
    """Rates of counters over the last seconds."""

    def __init__(self, window_secs: float = 30.0) -> None:
        """Measures over a sliding window.

        Args:
          window_secs: Length of the window.
        """
        self._window_secs = window_secs
        self._points: deque[tuple[float, tuple[int, ...]]] = deque()

    def rates(self, *counts: int) -> tuple[float, ...]:
        """Adds the counters' values now; returns their increase a second."""
        now = time.monotonic()
        self._points.append((now, counts))
        # The point of the call before stays, however long ago that was.
        while len(self._points) > 2 and now - self._points[0][0] > self._window_secs:
            self._points.popleft()
        then, first = self._points[0]
        elapsed = now - then
        if elapsed <= 0:
            return tuple(0.0 for _ in counts)
        return tuple(
            max(0.0, (last - before) / elapsed) for last, before in zip(counts, first)
        )
