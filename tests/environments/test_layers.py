"""What lies within an environment's wrappers."""

from __future__ import annotations

from typing import Any

import gym
import gymnasium
import pytest
from dm_control import suite
from dm_control.rl import control
from gym.envs.classic_control import PendulumEnv
from tf_agents.environments import suite_gym, wrappers

from tests.environments.toy_envs import (
    CountingEnv,
    StrangeEnv,
    make_env,
    make_falling_cartpole,
)
from tfagents_system.environments import layers, loaders
from tfagents_system.errors import UserError


class Stateful:
    """Keeps what it gets."""

    state: Any = None

    def set_state(self, state: Any) -> None:
        self.state = state


class StatefulGymnasium(Stateful, StrangeEnv):
    pass


class StatefulGym(PendulumEnv):
    state_set: Any = None

    def set_state(self, state: Any) -> None:
        self.state_set = state


class StatefulWrapper(Stateful, gymnasium.Wrapper[Any, Any, Any, Any]):
    pass


class StatefulCartpole(Stateful, control.Environment):
    pass


def test_set_state_reaches_the_environment_within_its_wrappers() -> None:
    inner = StatefulGymnasium()
    wrapped = gymnasium.wrappers.TimeLimit(inner, 5)
    env = make_env(lambda: wrappers.TimeLimit(loaders.wrap(wrapped), 4))
    env.set_state({"mass": 1.0})
    assert inner.state == {"mass": 1.0}

    pendulum = StatefulGym()
    make_env(lambda: gym.wrappers.TimeLimit(pendulum, 5)).set_state({"mass": 2.0})
    assert pendulum.state_set == {"mass": 2.0}

    made = make_falling_cartpole()
    made.__class__ = StatefulCartpole
    make_env(lambda: made).set_state({"mass": 3.0})
    assert made.state == {"mass": 3.0}

    on_instance = CountingEnv()
    got: list[Any] = []
    on_instance.__dict__["set_state"] = got.append
    make_env(lambda: on_instance).set_state({"mass": 4.0})
    assert got == [{"mass": 4.0}]


def test_set_state_of_a_wrapper_comes_before_that_of_the_environment() -> None:
    outer = StatefulWrapper(StatefulGymnasium())
    make_env(lambda: outer).set_state({"mass": 1.0})
    assert outer.state == {"mass": 1.0}
    assert outer.env.state is None


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: loaders.load("HalfCheetah-v5"), "HalfCheetahEnv"),  # (qpos, qvel)
        (lambda: loaders.load("Pendulum-v1"), "PendulumEnv"),
        (lambda: loaders.load("dm_control/pendulum-swingup"), "Environment"),
        (lambda: wrappers.RunStats(suite_gym.load("Pendulum-v1")), "PendulumEnv"),
    ],
)
def test_without_set_state_the_line_says_where_to_define_it(
    make: Any, name: str
) -> None:
    env = make_env(make)
    with pytest.raises(UserError, match=rf"define it in {name} or in a wrapper"):
        env.set_state({"mass": 1.0})
    env.close()


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (lambda: gymnasium.make("Pendulum-v1"), 200),
        (lambda: gym.make("Pendulum-v1").unwrapped, 200),
        (lambda: gymnasium.make("Pendulum-v1", max_episode_steps=70), 70),
        (lambda: gym.make("Pendulum-v1"), 200),
        (lambda: wrappers.TimeLimit(suite_gym.load("Pendulum-v1"), 60), 60),
        (lambda: suite_gym.load("Pendulum-v1", max_episode_steps=300), 200),
        (lambda: suite.load("pendulum", "swingup"), 1000),
        (lambda: suite.load("lqr", "lqr_2_1"), None),
        (StrangeEnv, None),
        (CountingEnv, None),
        (lambda: wrappers.TimeLimit(CountingEnv(), 9), 9),
    ],
)
def test_time_limit_is_found_within_wrappers(make: Any, limit: int | None) -> None:
    assert layers.time_limit(make_env(make)) == limit
