"""The words in which launcher and status tell people how a run goes."""

from __future__ import annotations

import datetime

from tfagents_system.experiment.progress import Progress


def progress_line(progress: Progress, num_restarts: int) -> str:
    """Returns a run's progress in one line.

    Args:
      progress: The progress.
      num_restarts: Restarts of all services in this run.
    """
    learner = progress.learner
    parts = [
        learner.describe(),
        f"iteration {learner.iteration}/{learner.num_iter}",
        f"env steps {progress.env_steps:,} ({learner.env_steps_per_sec:.0f}/s)",
        f"train steps {learner.train_step:,} ({learner.train_steps_per_sec:.0f}/s)",
        "return " + _train_and_eval(progress.train_return, progress.eval_return),
    ]
    rates = progress.train_success_rate, progress.eval_success_rate
    if rates != (None, None):
        parts.append("success " + _train_and_eval(*rates))
    parts += [f"restarts {num_restarts}", f"ETA {_eta(progress)}"]
    if learner.problem:
        parts.insert(0, learner.problem)
    if progress.is_stalled:
        parts.insert(0, f"NO PROGRESS FOR {progress.stalled_secs / 60:.0f} MIN")
    return " | ".join(parts)


def _train_and_eval(train: float | None, evaluation: float | None) -> str:
    return f"train {_number(train)} eval {_number(evaluation)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _eta(progress: Progress) -> str:
    rate = progress.learner.train_steps_per_sec
    if rate <= 0 or not progress.total_train_steps:
        return "-"
    left = progress.total_train_steps - progress.learner.train_step
    return str(datetime.timedelta(seconds=round(left / rate)))
