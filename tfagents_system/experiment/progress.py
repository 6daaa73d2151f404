"""How far a run is, from the status files of its processes."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Sequence
from typing import Any

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment, read_json
from tfagents_system.launcher.topology import COLLECT_WORKER, LEARNER, REPLAY_SERVER

# Longer than compiling, the save of a large replay, or a slow evaluation episode takes.
STALL_SECS = 300.0


@dataclasses.dataclass(frozen=True)
class Progress:
    """A moment of a run.

    Attributes:
      state: What the learner is doing, or why it waits.
      iteration: Index of the current iteration.
      num_iter: Iterations of the whole training; 0 while unknown.
      train_step: Gradient steps done.
      total_train_steps: Gradient steps of the whole training; 0 while unknown.
      env_steps: Env steps in the whole training.
      train_steps_per_sec: Rate over the last seconds.
      env_steps_per_sec: Rate over the last seconds.
      train_return: Mean over the workers of their last training episode's return.
      eval_return: Mean over the workers of their last evaluation's mean return.
      train_success_rate: Mean over the workers of their last training episodes'
        success rate; None where no environment says.
      eval_success_rate: The same of their last evaluation.
      problem: What is wrong although training goes on; empty: nothing.
      stalled_secs: Since when no process has got on; 0 before the first has.
    """

    state: str
    iteration: int
    num_iter: int
    train_step: int
    total_train_steps: int
    env_steps: int
    train_steps_per_sec: float
    env_steps_per_sec: float
    train_return: float | None
    eval_return: float | None
    train_success_rate: float | None
    eval_success_rate: float | None
    problem: str
    stalled_secs: float

    @property
    def is_stalled(self) -> bool:
        """Whether nothing has got on for so long that somebody should look."""
        return self.stalled_secs >= STALL_SECS

    def line(self, num_restarts: int) -> str:
        """Formats it as the launcher's live line."""

        def number(value: float | None) -> str:
            return "-" if value is None else f"{value:.3g}"

        eta = "-"
        if self.train_steps_per_sec > 0 and self.total_train_steps:
            left = self.total_train_steps - self.train_step
            seconds = round(left / self.train_steps_per_sec)
            eta = str(datetime.timedelta(seconds=seconds))
        warning = ""
        if self.is_stalled:
            warning = f"NO PROGRESS FOR {self.stalled_secs / 60:.0f} MIN | "
        if self.problem:
            warning += f"{self.problem} | "
        success = ""
        if self.train_success_rate is not None or self.eval_success_rate is not None:
            success = (
                f"success train {number(self.train_success_rate)} eval "
                f"{number(self.eval_success_rate)} | "
            )
        return (
            f"{warning}{self.state} | iteration {self.iteration}/{self.num_iter} | "
            f"env steps {self.env_steps:,} ({self.env_steps_per_sec:.0f}/s) | "
            f"train steps {self.train_step:,} ({self.train_steps_per_sec:.0f}/s) | "
            f"return train {number(self.train_return)} eval "
            f"{number(self.eval_return)} | {success}restarts {num_restarts} | ETA {eta}"
        )


def read_status(experiment: Experiment, name: str) -> dict[str, Any]:
    """Reads a service's status; empty before it has written one."""
    try:
        status = read_json(experiment.status(name))
    except UserError:
        return {}
    return status if isinstance(status, dict) else {}


def read_statuses(experiment: Experiment) -> list[dict[str, Any]]:
    """Reads the status of every service that has ever had one."""
    names = sorted(path.stem for path in experiment.status("").parent.glob("*.json"))
    return [read_status(experiment, name) for name in names]


def count_episodes(experiment: Experiment) -> int:
    """Counts the training episodes of all workers, those of earlier runs too."""
    return sum(s.get("worker_episodes", 0) for s in read_statuses(experiment))


def _mean(statuses: Sequence[dict[str, Any]], field: str) -> float | None:
    values = [s[field] for s in statuses if s.get(field) is not None]
    return sum(values) / len(values) if values else None


def read_progress(experiment: Experiment, names: Sequence[str]) -> Progress:
    """Reads how far a run is.

    Args:
      experiment: The experiment.
      names: Its services.
    """
    learner = read_status(experiment, LEARNER)
    replay = read_status(experiment, REPLAY_SERVER)
    workers = [
        read_status(experiment, name)
        for name in names
        if name.startswith(COLLECT_WORKER)
    ]
    num_iter = int(learner.get("num_iter", 0))
    return Progress(
        state=str(learner.get("state", "starting")),
        iteration=int(learner.get("iteration", 0)),
        num_iter=num_iter,
        train_step=int(learner.get("train_step", 0)),
        total_train_steps=num_iter * int(learner.get("num_steps_per_iter", 0)),
        env_steps=int(replay.get("env_steps", 0)),
        train_steps_per_sec=float(learner.get("train_steps_per_sec", 0)),
        env_steps_per_sec=float(learner.get("env_steps_per_sec", 0)),
        train_return=_mean(workers, "train_return"),
        eval_return=_mean(workers, "eval_return"),
        train_success_rate=_mean(workers, "train_success_rate"),
        eval_success_rate=_mean(workers, "eval_success_rate"),
        problem=str(learner.get("problem", "")),
        stalled_secs=_secs_without_progress([learner, replay, *workers]),
    )


def _secs_without_progress(statuses: Sequence[dict[str, Any]]) -> float:
    last = max((status.get("progress_at", 0.0) for status in statuses), default=0.0)
    return max(0.0, time.time() - last) if last else 0.0
