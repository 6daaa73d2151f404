"""TensorBoard: every scalar against train steps and against env steps.

`tag` has the train step on its axis, `<group>_vs_env_step/<name>` the env step, as
TF-Agents names them. The train step is the one that the policy had which acted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


class ScalarWriter:
    """Writes scalars to one folder of event files."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder.

        Args:
          folder: Where TensorBoard finds the events.
        """
        self._writer = tf.summary.create_file_writer(str(folder), flush_millis=10_000)

    def write(
        self, scalars: Mapping[str, float], train_step: int, env_step: int
    ) -> None:
        """Writes scalars by `group/name` tag against both steps."""
        with self._writer.as_default():
            for tag, value in scalars.items():
                group, _, name = tag.partition("/")
                tf.summary.scalar(tag, value, step=train_step)
                tf.summary.scalar(f"{group}_vs_env_step/{name}", value, step=env_step)

    def flush(self) -> None:
        """Writes what is buffered to disk."""
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
        while now - self._points[0][0] > self._window_secs:
            self._points.popleft()
        then, first = self._points[0]
        elapsed = now - then
        if elapsed <= 0:
            return tuple(0.0 for _ in counts)
        return tuple(
            max(0.0, (last - before) / elapsed) for last, before in zip(counts, first)
        )


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
