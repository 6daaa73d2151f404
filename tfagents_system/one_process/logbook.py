"""What the one-process mode writes to TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping

from tfagents_system import metrics
from tfagents_system.curriculum import Value
from tfagents_system.evaluation import Summary
from tfagents_system.experiment import Experiment
from tfagents_system.processes.startup import Status
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
        self._train = metrics.ScalarWriter(experiment.train_summaries(NAME), status)
        self._eval = metrics.ScalarWriter(experiment.eval_summaries(NAME), status)
        self._metrics, self._eval_metrics = observers[1:], eval_observers[1:]
        self._rates = metrics.RateMeter()

    def add_episode(
        self,
        episode_return: float,
        length: int,
        curriculum: Mapping[str, Value],
        steps: tuple[int, int],
    ) -> None:
        """Adds a training episode.

        Args:
          episode_return: Sum of its rewards.
          length: Env steps.
          curriculum: The values that were set for it.
          steps: Train step and env step.
        """
        scalars: dict[str, float | None] = {
            "Metrics/return": episode_return,
            "Metrics/episode_length": length,
            **{f"Curriculum/{name}": value for name, value in curriculum.items()},
            **metrics.user_results(*self._metrics),
        }
        self._train.write(scalars, *steps)

    def add_evaluation(self, summary: Summary, steps: tuple[int, int]) -> None:
        """Adds an evaluation."""
        scalars = {
            "Metrics/return": summary.mean_return,
            "Metrics/episode_length": summary.mean_length,
            "Metrics/success_rate": summary.success_rate,
            **metrics.user_results(*self._eval_metrics),
        }
        self._eval.write(scalars, *steps)

    def add_training(
        self, scalars: Mapping[str, float], num_rows: int, steps: tuple[int, int]
    ) -> None:
        """Adds losses, with the rates and the rows in the replay; flushes."""
        train_rate, env_rate = self._rates.rates(*steps)
        rates: dict[str, float | None] = {
            "Metrics/train_steps_per_sec": train_rate,
            "Metrics/env_steps_per_sec": env_rate,
            "Metrics/replay_size": num_rows,
        }
        self._train.write({**scalars, **rates}, *steps)
        self._train.flush()
        self._eval.flush()
