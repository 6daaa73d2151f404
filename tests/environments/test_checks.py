"""What is checked of an environment before training."""

from __future__ import annotations

from typing import Any

import gym
import numpy as np
import pytest
from tf_agents.specs import array_spec

from tests.environments.toy_envs import CountingEnv, make_env
from tfagents_system.environments import checks, hooks
from tfagents_system.errors import UserError


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (array_spec.ArraySpec((1,), np.float32), "continuous bounded"),
        (array_spec.BoundedArraySpec((), np.int64, 0, 3), "continuous bounded"),
        (array_spec.BoundedArraySpec((1,), np.float32, -np.inf, 1.0), "finite"),
        (array_spec.BoundedArraySpec((1,), np.float32, -2e38, 2e38), "at most 1.7e"),
        (array_spec.BoundedArraySpec((1,), np.float32, 1.0, 1.0), "below its maximum"),
    ],
)
def test_action_space_that_sac_cannot_use_is_refused(spec: Any, message: str) -> None:
    env = make_env(CountingEnv)
    env._action_spec = spec
    with pytest.raises(UserError, match=message):
        checks.check_spaces(env)


class Misfit(CountingEnv):
    """Observes something other than its spec says, after a reset or after a step."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self._when = when

    def observation_spec(self) -> Any:
        return array_spec.BoundedArraySpec((2,), np.float32, 0.0, 10.0)

    def _observation(self) -> Any:
        is_bad = self._when == ("step" if self.steps else "reset")
        return np.array([self.steps, -1.0 if is_bad else 0.5], np.float32)


@pytest.mark.parametrize("when", ["reset", "step"])
def test_observation_outside_its_spec_is_refused(when: str) -> None:
    env = make_env(lambda: Misfit(when))
    message = rf"observation of env\.{when}\(\) does not fit .* float32\[2\] in \[-1.0"
    with pytest.raises(UserError, match=message):
        checks.check_environment(env, {})
    checks.check_environment(make_env(lambda: Misfit("never")), {})


CURRICULUM = {
    "curriculum": {"mass": {"iters": [0, 10], "range": [2.0, 3.0]}},
}


def test_curriculum_is_tried_with_its_first_values() -> None:
    env = make_env(CountingEnv)
    checks.check_environment(env, CURRICULUM)
    assert hooks.unwrap(env).state == {"mass": 2.0}


def test_curriculum_that_the_environment_cannot_set_is_refused() -> None:
    message = "a curriculum of mass, but the environment has no set_state"
    with pytest.raises(UserError, match=message):
        checks.check_environment(make_env(lambda: gym.make("Pendulum-v1")), CURRICULUM)

    class Abstract(CountingEnv):
        def set_state(self, state: dict[str, Any]) -> None:
            raise NotImplementedError("not yet")

    with pytest.raises(UserError, match=f"{message}.*NotImplementedError: not yet"):
        checks.check_environment(make_env(Abstract), CURRICULUM)
