"""What is logged of episodes: TensorBoard scalars of training and of evaluation.

The scalars of gradient steps are in `learning.training_log`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from tfagents_system.acting import evaluation, observers
from tfagents_system.acting.episode import EpisodeResult
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import ScalarWriter, Steps
from tfagents_system.settings.curriculum import Value
from tfagents_system.settings.default_observers import Observers


class Logbook:
    """The episodes of one process.

    Attributes:
      train: Writes the summaries of training.
      success_rate: Of the last training episodes; None where no environment says.
    """

    def __init__(
        self,
        experiment: Experiment,
        name: str,
        status: StatusWriter[Any],
        train_observers: Observers,
        eval_observers: Observers,
    ) -> None:
        """Opens the event files.

        Args:
          experiment: The experiment.
          name: Name of the process in it.
          status: The process's status.
          train_observers: The user's, of training episodes.
          eval_observers: Those of evaluation episodes.
        """
        self.train = ScalarWriter(experiment.train_summaries(name), status)
        self._eval = ScalarWriter(experiment.eval_summaries(name), status)
        self._train_observers, self._eval_observers = train_observers, eval_observers
        self._results: deque[EpisodeResult] = deque(maxlen=evaluation.SUCCESS_EPISODES)
        self.success_rate: float | None = None

    def add_episode(
        self,
        result: EpisodeResult,
        curriculum_values: Mapping[str, Value],
        steps: Steps,
        **more: float,
    ) -> None:
        """Adds a training episode.

        Args:
          result: Its return, length and success.
          curriculum_values: What the environment had, by parameter.
          steps: Gradient steps and env steps done.
          **more: Further metrics, by name.
        """
        self._results.append(result)
        self.success_rate = evaluation.success_rate(self._results)
        scalars = {
            "Metrics/return": result.episode_return,
            "Metrics/episode_length": result.length,
            "Metrics/success_rate": self.success_rate,
            **{f"Metrics/{name}": value for name, value in more.items()},
            **{f"Curriculum/{key}": value for key, value in curriculum_values.items()},
            **observers.read_results(self._train_observers),
        }
        self.train.write(scalars, steps)

    def add_evaluation(self, summary: evaluation.Summary, steps: Steps) -> None:
        """Adds an evaluation, and writes all that is buffered.

        Args:
          summary: Its statistics.
          steps: Gradient steps and env steps done.
        """
        scalars = {
            "Metrics/return": summary.mean_return,
            "Metrics/episode_length": summary.mean_length,
            "Metrics/success_rate": summary.success_rate,
            **observers.read_results(self._eval_observers),
        }
        self._eval.write(scalars, steps)
        self._eval.flush()
