"""Whether an episode reached its goal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting import episode, evaluation
from tfagents_system.algorithm.packed_variables import PackedVariables
from tfagents_system.environments.standard import StandardEnvironment


class Goal(py_environment.PyEnvironment):
    """Two steps; says of the goal what it is told to say."""

    def __init__(self, info: Any, aux: Any) -> None:
        super().__init__()
        self._info, self._aux = info, aux
        self._num_steps = 0

    def action_spec(self) -> Any:
        return array_spec.BoundedArraySpec((1,), np.float32, -1, 1)

    def observation_spec(self) -> Any:
        return {
            "obs": array_spec.ArraySpec((1,), np.float32),
            "aux": {"successful": array_spec.ArraySpec((), np.int32)},
        }

    def get_info(self) -> Any:
        if self._info is None:
            raise NotImplementedError
        # Only what is said at the end counts.
        return self._info if self._num_steps == 2 else {"is_success": True}

    def _observation(self) -> Any:
        # The archived system's environment says 1 after a reset.
        flag = self._aux if self._num_steps == 2 else 1
        return {"obs": np.zeros(1, np.float32), "aux": {"successful": np.int32(flag)}}

    def _reset(self) -> ts.TimeStep:
        self._num_steps = 0
        return ts.restart(self._observation())

    def _step(self, action: Any) -> ts.TimeStep:
        self._num_steps += 1
        step = ts.termination if self._num_steps == 2 else ts.transition
        return step(self._observation(), 1.0)


class Still:
    """Acts the same always."""

    weights: PackedVariables | None = None

    def reset(self) -> None:
        pass

    def refresh(self, packed: Any = None) -> None:
        pass

    def act(self, time_step: Any) -> Any:
        return np.zeros(1, np.float32)


@pytest.mark.parametrize(
    ("info", "aux", "expected"),
    [
        (None, 1, True),
        (None, 0, False),
        ({}, 0, False),
        ({"is_success": True}, 0, True),
        ({"success": np.array([0.0])}, 1, False),
        ({"success": np.zeros(3)}, 1, True),  # Something else of that name.
    ],
)
def test_flag_is_read_at_the_end(info: Any, aux: int, expected: bool) -> None:
    env = StandardEnvironment(Goal(info, aux), horizon=10)
    assert episode.run_episode(env, Still()).is_success is expected


def test_environment_without_a_goal_has_no_rate(pendulum: tuple[Any, Any, Any]) -> None:
    result = episode.run_episode(pendulum[1], Still())
    assert result.is_success is None
    summary = evaluation.summarize([result])
    assert summary.success_rate is None
    assert "success" not in str(summary)
