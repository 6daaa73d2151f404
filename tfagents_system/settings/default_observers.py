"""What the observer hooks of `TrainParamsBase` return, by the archived names.

A params file may read them, wrap them, replace them or leave them out. The framework
needs none of them: the transitions reach the replay without, and returns and lengths
are logged without. TF-Agents' own metrics would take a worker longer than an env step.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable

import numpy as np

REPLAY_BUFFER = "replay_buffer"

# TF-Agents' StepType, which this module must not import. Its `is_last()` and the like
# take as long as many an env step.
_FIRST, _LAST = 0, 2

# Observers of `Trajectory`, observers of transitions, and metrics, each by name.
Observers = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


class DefaultObserver:
    """One that the base class has made; where there are no others none is fed."""

    def reset(self) -> None:
        """Forgets what it has observed."""


class ReplayObserver(DefaultObserver):
    """Stands where the archived framework had its writer into the replay.

    It writes nothing. It only shows whether a trajectory has come through what a
    params file has put around it.

    Attributes:
      last_trajectory: The newest that it was given.
    """

    def __init__(self) -> None:
        """Has been given none yet."""
        self.last_trajectory: Any = None

    def __call__(self, trajectory: Any) -> None:
        """Keeps the trajectory."""
        self.last_trajectory = trajectory

    def reset(self, write_cached_steps: bool = True) -> None:
        """Does nothing: no steps are cached."""

    def flush(self) -> None:
        """Does nothing: nothing is under way."""

    def close(self) -> None:
        """Does nothing: nothing is open."""


class EpisodeMean(DefaultObserver):
    """The mean, over the last episodes, of a sum over the steps of each.

    Attributes:
      name: Of the metric, as in TF-Agents.
    """

    def __init__(
        self, name: str, value_of: Callable[[Any], float], buffer_size: int
    ) -> None:
        """Has seen no episode yet.

        Args:
          name: Of the metric.
          value_of: What is summed up, of each trajectory.
          buffer_size: How many episodes.
        """
        self.name, self._value_of = name, value_of
        self._sums: deque[float] = deque(maxlen=buffer_size)
        self._sum = 0.0

    def __call__(self, trajectory: Any) -> None:
        """Takes an unbatched step; the boundary between episodes is none."""
        if not _is_step(trajectory):
            return
        if trajectory.step_type == _FIRST:
            self._sum = 0.0
        self._sum += self._value_of(trajectory)
        if _ends_episode(trajectory):
            self._sums.append(self._sum)

    def reset(self) -> None:
        """Forgets the episodes."""
        self._sums.clear()
        self._sum = 0.0

    def result(self) -> np.float32:
        """Returns the mean; 0 before an episode has ended."""
        return np.float32(np.mean(self._sums) if self._sums else 0)


class Count(DefaultObserver):
    """How many steps fulfil a condition.

    Attributes:
      name: Of the metric, as in TF-Agents.
    """

    def __init__(self, name: str, counts: Callable[[Any], bool]) -> None:
        """Begins at 0.

        Args:
          name: Of the metric.
          counts: Whether a trajectory counts.
        """
        self.name, self._counts = name, counts
        self._count = 0

    def __call__(self, trajectory: Any) -> None:
        """Takes an unbatched step, or the boundary between episodes."""
        self._count += self._counts(trajectory)

    def reset(self) -> None:
        """Begins again."""
        self._count = 0

    def result(self) -> np.int64:
        """Returns the count."""
        return np.int64(self._count)


def _is_step(trajectory: Any) -> bool:
    return bool(trajectory.step_type != _LAST)


def _ends_episode(trajectory: Any) -> bool:
    return bool(trajectory.next_step_type == _LAST)


def _count_steps(name: str) -> Count:
    return Count(name, _is_step)


def _episode_means(buffer_size: int) -> dict[str, Any]:
    return {
        "reward": EpisodeMean(
            "AverageReturn", lambda trajectory: float(trajectory.reward), buffer_size
        ),
        "episode_length": EpisodeMean(
            "AverageEpisodeLength", lambda trajectory: 1, buffer_size
        ),
    }


def of_training(
    replay: ReplayObserver, buffer_size: int, collect_only: bool
) -> Observers:
    """Returns what observes training episodes.

    Args:
      replay: Stands for the replay.
      buffer_size: Episodes of a mean.
      collect_only: Leave out the metrics.
    """
    observers = {REPLAY_BUFFER: replay, "steps_written": _count_steps("StepsWritten")}
    if collect_only:
        return observers, {}, {}
    metrics = {
        **_episode_means(buffer_size),
        "steps": _count_steps("EnvironmentSteps"),
        "episodes": Count("NumberOfEpisodes", _ends_episode),
    }
    return observers, {}, metrics


def of_evaluation(buffer_size: int) -> Observers:
    """Returns what observes evaluation episodes.

    Args:
      buffer_size: Episodes of a mean.
    """
    metrics = {
        **_episode_means(buffer_size),
        "env_steps": _count_steps("EnvironmentSteps"),
    }
    return {}, {}, metrics
