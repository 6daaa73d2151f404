"""The user's observers: fed TF-Agents' types, and read for TensorBoard."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting.episode import Watcher
from tfagents_system.train_params_base import Observers


def make_watchers(observers: Observers) -> list[Watcher]:
    """Adapts the user's observers to what watches an episode.

    Args:
      observers: What `train_observers_ctor` or `eval_observers_ctor` returned.

    Returns:
      One watcher that feeds them TF-Agents' types, or none if there are none. As
      TF-Agents' drivers do, it also gives observers and metrics the boundary
      trajectory that follows a last time step.
    """
    by_trajectory, by_transition, metrics = (
        list(group.values()) for group in observers
    )
    by_trajectory = by_trajectory + metrics
    if not by_trajectory and not by_transition:
        return []

    def watch(time_step: ts.TimeStep, action: Any, next_time_step: ts.TimeStep) -> None:
        step = policy_step.PolicyStep(action)
        step_trajectory = trajectory.from_transition(time_step, step, next_time_step)
        for observer in by_trajectory:
            observer(step_trajectory)
        for observer in by_transition:
            observer((time_step, step, next_time_step))
        if next_time_step.is_last() and by_trajectory:
            boundary: Any = trajectory.from_transition(
                next_time_step, step, ts.restart(next_time_step.observation)
            )
            for observer in by_trajectory:
                observer(boundary)

    return [watch]


def reset(observers: Observers) -> None:
    """Resets those that can be; TF-Agents' metrics can, any callable need not."""
    for observer in (o for group in observers for o in group.values()):
        if hasattr(observer, "reset"):
            observer.reset()


def read_results(observers: Observers) -> dict[str, float]:
    """Reads the user's metrics and transition observers with a scalar `result()`.

    Args:
      observers: The user's.

    Returns:
      `Metrics/<name>` and value of each.
    """
    results = {}
    _, *groups = observers
    for name, metric in (item for group in groups for item in group.items()):
        if not hasattr(metric, "result"):
            continue
        value = np.asarray(metric.result())
        if value.size == 1:
            results[f"Metrics/{name}"] = float(value.reshape(()))
    return results
