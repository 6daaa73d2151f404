"""What dm_control's environments become."""

from __future__ import annotations

import dm_env
import numpy as np
import pytest
from dm_control import suite
from dm_env import specs

from tests.environments.toy_envs import (
    last_time_step,
    make_env,
    make_falling_cartpole,
)
from tfagents_system.environments import dm_control_env, loaders


def test_terminal_state_has_discount_0() -> None:
    time_step, steps = last_time_step(make_env(make_falling_cartpole))
    assert (time_step.discount, steps) == (0, 3)


def test_every_task_has_its_name_and_its_time_limit() -> None:
    names = dm_control_env.names()
    assert len(names) == len(suite.ALL_TASKS)
    assert "cartpole-swingup" in names
    assert dm_control_env.step_limit(suite.load("cartpole", "swingup")) == 1000
    assert dm_control_env.step_limit(suite.load("lqr", "lqr_2_1")) is None


def test_frames_show_a_task_at_its_own_speed() -> None:
    env = loaders.load("dm_control/cartpole-swingup", seed=1)
    env.reset()
    assert env.metadata == {"render_fps": 100}  # A step is 0.01 s.
    frame = env.render("rgb_array")
    assert frame.shape == (*dm_control_env.FRAME_SHAPE, 3)
    with pytest.raises(NotImplementedError, match="no rendering"):
        env.render("human")


class Plain(dm_env.Environment):
    """A dm_env environment without MuJoCo."""

    def reset(self) -> dm_env.TimeStep:
        return dm_env.restart(np.zeros(1, np.float32))

    def step(self, action: object) -> dm_env.TimeStep:
        return dm_env.transition(1.0, np.zeros(1, np.float32))

    def observation_spec(self) -> specs.Array:
        return specs.Array((1,), np.float32)

    def action_spec(self) -> specs.BoundedArray:
        return specs.BoundedArray((1,), np.float32, -1.0, 1.0)


def test_an_environment_without_physics_acts_but_does_not_render() -> None:
    env = loaders.wrap(Plain())
    assert isinstance(env, dm_control_env.DmControlEnv)
    time_step, steps = last_time_step(make_env(Plain, horizon=6))
    assert (time_step.discount, steps) == (1, 6)
    assert env.metadata == {}
    with pytest.raises(NotImplementedError, match="without MuJoCo physics"):
        env.render("rgb_array")
    with pytest.raises(NotImplementedError, match="seeded when it is made"):
        env.seed(1)
