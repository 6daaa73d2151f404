"""The archived framework's metrics, and what runs episodes to compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tf_agents.environments import py_environment
from tf_agents.metrics import py_metric, py_metrics
from tf_agents.policies import random_py_policy
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from tfagents_system.utils import metric


class Walk(py_environment.PyEnvironment):
    """Episodes of 1, 2, 3, ... steps, each second one a success; no reset by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._episode = 0

    def action_spec(self) -> Any:
        return array_spec.BoundedArraySpec((1,), np.float32, -1, 1)

    def observation_spec(self) -> Any:
        return {
            "obs": array_spec.ArraySpec((2,), np.float32),
            "aux": {"successful": array_spec.ArraySpec((), np.int32)},
        }

    def _observe(self, successful: int) -> Any:
        return {
            "obs": np.zeros(2, np.float32),
            "aux": {"successful": np.array(successful, np.int32)},
        }

    def _reset(self) -> ts.TimeStep:
        self._episode += 1
        self._step_number = 0
        # As in the archived ContactInsert: 1 after a reset, which is no success.
        return ts.restart(self._observe(1))

    def _step(self, action: Any) -> ts.TimeStep:
        self._step_number += 1
        if self._step_number == self._episode:
            return ts.termination(self._observe(1 - self._episode % 2), 2.0)
        return ts.transition(self._observe(1), 2.0)


def end_of_episode(successful: Any, step_type: Any = 2) -> Any:
    """Returns a transition into a last time step, or into several side by side."""
    observation = {"aux": {"successful": np.array(successful, np.int32)}}
    step_type = np.array(step_type, np.int32)
    return None, None, ts.TimeStep(step_type, None, None, observation)


def test_success_is_what_the_last_step_says() -> None:
    success = metric.SuccessRateMetric(name="Success", buffer_size=2, batch_size=1)
    assert isinstance(success, py_metric.PyMetric)
    assert (success.name, float(success.result())) == ("Success", 0.0)
    success(end_of_episode(1, step_type=1))  # Not the end of one.
    success(end_of_episode(0))
    assert success.result() == 0.0
    success(end_of_episode([1]))
    assert success.result() == 0.5
    success(end_of_episode([[1], [1], [0]], step_type=[2, 1, 1]))
    assert success.result() == 1.0  # Of the last two.
    success.reset()
    assert success.result() == 0.0


def steps_of(length: int) -> list[Any]:
    """Returns the trajectories of an episode, the boundary behind it included."""
    first, last = ts.StepType.FIRST, ts.StepType.LAST
    types = [first, *[ts.StepType.MID] * (length - 1), last, first]
    return [
        trajectory.Trajectory(one, (), (), (), other, np.float32(0), np.float32(1))
        for one, other in zip(types, types[1:])
    ]


def test_steps_of_episodes_that_are_too_short_do_not_count() -> None:
    written = metric.StepsWrittenMetric(
        name="Written", min_length_to_write=3, buffer_size=4, batch_size=1
    )
    assert (written.name, float(written.result())) == ("Written", 0.0)
    for length in (2, 3, 1, 5):
        for step in steps_of(length):
            written(step)
    assert written.result() == 3 + 5
    for length in (4, 2):  # The oldest two do not count any more.
        for step in steps_of(length):
            written(step)
    assert written.result() == 5 + 4
    written.reset()
    assert written.result() == 0.0
    assert metric.StepsWrittenMetric().name == "StepsWritten"


@pytest.mark.timeout(60)  # TF-Agents' driver alone would never end.
def test_compute_runs_episodes_from_a_reset_and_names_the_results() -> None:
    env = Walk()
    policy = random_py_policy.RandomPyPolicy(env.time_step_spec(), env.action_spec())
    returns = py_metrics.AverageReturnMetric()
    observed = {"returns": returns, "steps": py_metrics.EnvironmentSteps()}
    success = {"success": metric.SuccessRateMetric()}
    results = metric.compute(observed.values(), success.values(), env, policy, 4)
    assert list(results.items()) == [
        ("AverageReturn", 2 * (1 + 2 + 3 + 4) / 4),
        ("EnvironmentSteps", 1 + 2 + 3 + 4),
        ("SuccessRate", 0.5),
    ]
    # By default one episode; what was computed before does not count.
    results = metric.compute([returns], [], environment=env, policy=policy)
    assert results == {"AverageReturn": 10.0}
