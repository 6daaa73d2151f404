"""What the one-process mode writes to TensorBoard."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from tfagents_system.acting import evaluation
from tfagents_system.acting.episode import EpisodeResult
from tfagents_system.experiment import summaries
from tfagents_system.experiment.directory import Experiment
from tfagents_system.processes.startup import Status
from tfagents_system.settings.curriculum import Value
from tfagents_system.train_params_base import Observers

NAME = "sac"


class Logbook:
    """Writes scalars against train steps and env steps, by the workers' tags."""

    def __init__(
        self, experiment: Experiment, observers: Observers, eval_observers: Observers
    ) -> None:
        """Opens the event files.

        Args:
          experiment: The log directory.
          observers: The user's, of training episodes.
          eval_observers: Those of evaluation episodes.
        """
        status = Status(experiment, NAME)
        self._train = summaries.ScalarWriter(experiment.train_summaries(NAME), status)
        self._eval = summaries.ScalarWriter(experiment.eval_summaries(NAME), status)
        self._observers, self._eval_observers = observers, eval_observers
        self._results: deque[EpisodeResult] = deque(maxlen=evaluation.SUCCESS_EPISODES)
        self._rates = summaries.RateMeter()

    def add_episode(
        self,
        result: EpisodeResult,
        curriculum_values: Mapping[str, Value],
        train_step: int,
        env_step: int,
    ) -> None:
        """Adds a training episode.

        Args:
          result: What it came to.
          curriculum_values: What the environment had.
          train_step: Gradient steps done.
          env_step: Env steps done.
        """
        self._results.append(result)
        success_rate = evaluation.success_rate(self._results)
        scalars = summaries.episode_scalars(
            result, success_rate, curriculum_values, self._observers
        )
        self._train.write(scalars, train_step, env_step)

    def add_evaluation(
        self, summary: evaluation.Summary, train_step: int, env_step: int
    ) -> None:
        """Adds an evaluation."""
        scalars = summaries.evaluation_scalars(summary, self._eval_observers)
        self._eval.write(scalars, train_step, env_step)

    def add_training(
        self,
        scalars: Mapping[str, float],
        num_rows: int,
        train_step: int,
        env_step: int,
    ) -> None:
        """Adds losses, with the rates and the rows in the replay; flushes."""
        train_rate, env_rate = self._rates.rates(train_step, env_step)
        rates: dict[str, float | None] = {
            "Metrics/train_steps_per_sec": train_rate,
            "Metrics/env_steps_per_sec": env_rate,
            "Metrics/replay_size": num_rows,
        }
        self._train.write({**scalars, **rates}, train_step, env_step)
        self._train.flush()
        self._eval.flush()
