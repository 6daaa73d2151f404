"""The user's observers: fed TF-Agents' types, and read for TensorBoard."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting.episode import Watcher
from tfagents_system.errors import UserError
from tfagents_system.settings.default_observers import (
    REPLAY_BUFFER,
    DefaultObserver,
    Observers,
    ReplayObserver,
)

logger = logging.getLogger(__name__)


def make_watchers(
    observers: Observers, replay_observer: ReplayObserver | None = None
) -> list[Watcher]:
    """Adapts the user's observers to what watches an episode.

    Args:
      observers: What `train_observers_ctor` or `eval_observers_ctor` returned.
      replay_observer: What the base class has put among them for the replay.

    Returns:
      One watcher that feeds them TF-Agents' types, or none if there are none but the
      base class's. As TF-Agents' drivers do, it also gives observers and metrics the
      boundary trajectory that follows a last time step. It raises a `UserError` where
      a trajectory has not come through what was put in place of `replay_observer`.
    """
    by_trajectory, by_transition, metrics = (
        list(group.values()) for group in observers
    )
    by_trajectory = by_trajectory + metrics
    if replay_observer and REPLAY_BUFFER not in observers[0]:
        logger.info(
            "train_observers_ctor leaves out observers[%r]: the transitions reach the "
            "replay without it",
            REPLAY_BUFFER,
        )
    if all(isinstance(o, DefaultObserver) for o in by_trajectory + by_transition):
        return []
    in_its_place = observers[0].get(REPLAY_BUFFER, replay_observer)
    is_replaced = in_its_place is not replay_observer

    def watch(time_step: ts.TimeStep, action: Any, next_time_step: ts.TimeStep) -> None:
        step = policy_step.PolicyStep(action)
        step_trajectory = trajectory.from_transition(time_step, step, next_time_step)
        for observer in by_trajectory:
            observer(step_trajectory)
        if is_replaced:
            _check_passed_on(step_trajectory, replay_observer)
        for observer in by_transition:
            observer((time_step, step, next_time_step))
        if next_time_step.step_type == ts.StepType.LAST and by_trajectory:
            boundary: Any = trajectory.from_transition(
                next_time_step, step, ts.restart(next_time_step.observation)
            )
            for observer in by_trajectory:
                observer(boundary)

    return [watch]


def _check_passed_on(step: Any, replay_observer: ReplayObserver | None) -> None:
    """Checks that what a params file put in the replay's place changes nothing.

    Raises:
      UserError: It drops a trajectory, or hands on another one.
    """
    if replay_observer is None or replay_observer.last_trajectory is not step:
        raise UserError(
            f"the params file's observers[{REPLAY_BUFFER!r}] drops or changes a "
            "trajectory; that cannot change what is trained on here: the transitions "
            "reach the replay without it. Hand each on to the base class's as it is, "
            "and change rewards and observations in env_ctor"
        )


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
        # What the base class's say is logged in any case.
        if isinstance(metric, DefaultObserver) or not hasattr(metric, "result"):
            continue
        value = np.asarray(metric.result())
        if value.size == 1:
            results[f"Metrics/{name}"] = float(value.reshape(()))
    return results
