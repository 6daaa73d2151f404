"""What is logged of gradient steps: TensorBoard scalars, and a line of the log.

The scalars of episodes are in `acting.logbook`.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Callable

from tfagents_system.experiment.summaries import ScalarWriter, Steps

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Counts:
    """How far a training is.

    Attributes:
      env_steps: Env steps of the whole training.
      episodes: Training episodes.
      num_rows: Rows in the replay.
      train_steps_per_sec: Rate over the last seconds.
      env_steps_per_sec: Rate over the last seconds.
    """

    env_steps: int
    episodes: int
    num_rows: int
    train_steps_per_sec: float
    env_steps_per_sec: float


class TrainingLog:
    """Losses, Q values, totals and rates."""

    def __init__(self, writer: ScalarWriter, count: Callable[[], Counts]) -> None:
        """Logs nothing yet.

        Args:
          writer: Writes the summaries.
          count: Tells how far the training is; called by the thread that trains.
        """
        self._writer = writer
        self._count = count

    def add(self, measured: Mapping[str, float], train_step: int) -> None:
        """Logs what was measured, with totals and rates.

        Args:
          measured: `Losses/<name>` and `Q/<name>`.
          train_step: Gradient steps done.
        """
        counts = self._count()
        scalars = {
            **measured,
            "Metrics/train_steps_per_sec": counts.train_steps_per_sec,
            "Metrics/env_steps_per_sec": counts.env_steps_per_sec,
            "Metrics/env_steps": counts.env_steps,
            "Metrics/episodes": counts.episodes,
            "Metrics/train_steps": train_step,
            "Metrics/replay_size": counts.num_rows,
        }
        self._writer.write(scalars, Steps(train_step, counts.env_steps))
        logger.info(
            "train step %d, env steps %d, %.0f and %.0f a second; %s",
            train_step,
            counts.env_steps,
            counts.train_steps_per_sec,
            counts.env_steps_per_sec,
            ", ".join(
                f"{tag.split('/')[1]} {value:.4g}" for tag, value in measured.items()
            ),
        )

    def flush(self) -> None:
        """Writes what is buffered to disk."""
        self._writer.flush()
