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
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

if TYPE_CHECKING:
    from tfagents_system.acting.episode import EpisodeResult
    from tfagents_system.acting.evaluation import Summary
    from tfagents_system.processes.startup import Status
    from tfagents_system.train_params_base import Observers


logger = logging.getLogger(__name__)


class ScalarWriter:
    """Writes scalars to one folder of event files.

    After a crash the learner takes some steps again; those are not written twice, so
    that no curve jumps back.
    """

    def __init__(self, folder: Path, status: Status) -> None:
        """Opens the folder.

        Args:
          folder: Where TensorBoard finds the events.
          status: The process's status; keeps what was written last over restarts.
        """
        self._writer = tf.summary.create_file_writer(str(folder), flush_millis=10_000)
        self._status = status
        self._key = f"written_{folder.parent.name}"
        self._last = tuple(status.get(self._key, (0, 0)))

    def write(
        self, scalars: Mapping[str, float | None], train_step: int, env_step: int
    ) -> None:
        """Writes scalars by `group/name` tag against both steps; None is left out.

        On a full disk they are lost, and that is logged: training goes on.
        """
        last_train_step, last_env_step = self._last
        by_train_step = {tag: v for tag, v in scalars.items() if v is not None}
        by_env_step = {
            tag.replace("/", "_vs_env_step/", 1): value
            for tag, value in by_train_step.items()
        }
        try:
            if train_step >= last_train_step:
                self._write(by_train_step, train_step)
            if env_step >= last_env_step:
                self._write(by_env_step, env_step)
        except tf.errors.OpError as error:
            logger.warning("summaries not written: %s", error.message)
            return
        self._last = max(train_step, last_train_step), max(env_step, last_env_step)
        written: dict[str, Any] = {self._key: self._last}
        self._status.update(**written)

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
        # Not that of the call before, however long ago that was.
        while len(self._points) > 2 and now - self._points[0][0] > self._window_secs:
            self._points.popleft()
        then, first = self._points[0]
        elapsed = now - then
        if elapsed <= 0:
            return tuple(0.0 for _ in counts)
        return tuple(
            max(0.0, (last - before) / elapsed) for last, before in zip(counts, first)
        )


def episode_scalars(
    result: EpisodeResult,
    success_rate: float | None,
    curriculum_values: Mapping[str, float],
    observers: Observers,
) -> dict[str, float | None]:
    """Returns the scalars of a training episode.

    Args:
      result: What it came to.
      success_rate: Of the last episodes.
      curriculum_values: What the environment had.
      observers: The user's.
    """
    return {
        "Metrics/return": result.episode_return,
        "Metrics/episode_length": result.length,
        "Metrics/success_rate": success_rate,
        **{f"Curriculum/{name}": value for name, value in curriculum_values.items()},
        **user_results(*observers[1:]),
    }


def evaluation_scalars(
    summary: Summary, observers: Observers
) -> dict[str, float | None]:
    """Returns the scalars of an evaluation, with those of the user's observers."""
    return {
        "Metrics/return": summary.mean_return,
        "Metrics/episode_length": summary.mean_length,
        "Metrics/success_rate": summary.success_rate,
        **user_results(*observers[1:]),
    }


def user_results(*groups: Mapping[str, Any]) -> dict[str, float]:
    """Reads the user's metrics: those with a scalar `result()`, by their name."""
    results = {}
    for group in groups:
        for name, metric in group.items():
            if not hasattr(metric, "result"):
                continue
            value = np.asarray(metric.result())
            if value.size == 1:
                results[f"Metrics/{name}"] = float(value.reshape(()))
    return results
