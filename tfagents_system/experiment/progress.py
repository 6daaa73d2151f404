"""How far a run is, from the status files of its processes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence

from tfagents_system.experiment import services, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import LearnerStatus, Status

# Longer than compiling, saving a large replay, or a slow evaluation episode takes.
STALL_SECS = 300.0


@dataclasses.dataclass(frozen=True)
class Progress:
    """A moment of a run.

    Attributes:
      learner: The learner's status.
      env_steps: Env steps of the whole training.
      train_return: Mean over the workers of their last training episode's return.
      eval_return: Mean over the workers of their last evaluation's mean return.
      train_success_rate: Mean over the workers of the success rate of their last
        training episodes; None where no environment says.
      eval_success_rate: The same of their last evaluation.
      stalled_secs: Since when no counter of any process has grown; 0 before one has.
    """

    learner: LearnerStatus
    env_steps: int
    train_return: float | None
    eval_return: float | None
    train_success_rate: float | None
    eval_success_rate: float | None
    stalled_secs: float

    @property
    def total_train_steps(self) -> int:
        """Gradient steps of the whole training; 0 while unknown."""
        return self.learner.num_iter * self.learner.num_steps_per_iter

    @property
    def is_stalled(self) -> bool:
        """Whether there has been no progress for so long that it needs attention."""
        return self.stalled_secs >= STALL_SECS


def read_progress(experiment: Experiment, names: Sequence[str]) -> Progress:
    """Reads how far a run is.

    Args:
      experiment: The experiment.
      names: Its services.
    """
    learner = status_file.read_learner(experiment.training)
    replay_server = status_file.read_replay_server(experiment.training)
    workers = [
        status_file.read_worker(experiment, name)
        for name in names
        if services.is_worker(name)
    ]
    return Progress(
        learner=learner,
        env_steps=replay_server.env_steps,
        train_return=_mean(worker.train_return for worker in workers),
        eval_return=_mean(worker.eval_return for worker in workers),
        train_success_rate=_mean(worker.train_success_rate for worker in workers),
        eval_success_rate=_mean(worker.eval_success_rate for worker in workers),
        stalled_secs=_secs_without_progress([learner, replay_server, *workers]),
    )


def count_episodes(experiment: Experiment) -> int:
    """Counts the training episodes of all workers, those of earlier runs too."""
    workers = status_file.read_workers(experiment)
    return sum(worker.worker_episodes for worker in workers)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _secs_without_progress(statuses: Sequence[Status]) -> float:
    last = max((status.progress_at for status in statuses), default=0.0)
    return max(0.0, time.time() - last) if last else 0.0
