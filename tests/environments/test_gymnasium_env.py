"""What gymnasium's environments become."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from tf_agents.specs import array_spec

from tests.environments.toy_envs import StrangeEnv, last_time_step, make_env
from tfagents_system.environments import gymnasium_env, loaders
from tfagents_system.errors import UserError


def test_only_the_first_episode_of_gymnasium_begins_with_the_seed(
    load_env: Any,
) -> None:
    env = load_env("HalfCheetah-v5", seed=1)
    assert not np.array_equal(env.reset().observation, env.reset().observation)
    env.seed(1)
    again = env.reset().observation
    assert np.array_equal(again, load_env("HalfCheetah-v5", seed=1).reset().observation)


def test_spaces_become_specs() -> None:
    spec = loaders.wrap(StrangeEnv()).observation_spec()
    assert list(spec) == ["picture", "arm", "bits", "many"]
    assert (spec["picture"].dtype, spec["picture"].shape) == (np.uint8, (4, 5, 3))
    box, discrete = spec["arm"]
    assert box.name == "observation/arm/tuple_0"
    assert (box.dtype, box.minimum.tolist()) == (np.float64, [-1.0, -2.0])
    assert (discrete.shape, int(discrete.minimum), int(discrete.maximum)) == ((), 5, 7)
    assert spec["bits"].maximum == 1
    assert spec["many"].maximum.tolist() == [1, 2]


def test_observations_fit_the_specs_and_are_copies() -> None:
    env = make_env(StrangeEnv)
    first = env.reset().observation
    second = env.step(np.zeros(2, np.float32)).observation
    assert list(first) == ["picture", "arm", "bits", "many"]
    assert array_spec.check_arrays_nest(first, env.observation_spec())
    assert first["picture"].dtype == np.uint8
    assert first["arm"][0].dtype == np.float32
    assert first["arm"][0].tolist() == [0, 0]
    assert second["arm"][0].tolist() == [1, 1]
    assert StrangeEnv().observation_space.contains(
        loaders.wrap(StrangeEnv()).reset().observation
    )


def test_uncast_arrays_are_copies_too() -> None:
    env = loaders.wrap(StrangeEnv())
    first = env.reset().observation
    env.step(np.zeros(2))
    assert first["arm"][0].tolist() == [0, 0]


def test_a_space_without_a_fixed_shape_is_refused() -> None:
    env = StrangeEnv()
    env.observation_space = spaces.Text(5)
    with pytest.raises(UserError, match=r"observation space Text.* cannot be used"):
        loaders.wrap(env)


@pytest.mark.parametrize(
    ("terminated", "truncated", "discount"),
    [(True, False, 0), (False, True, 1), (True, True, 0)],
)
def test_terminated_and_truncated(
    terminated: bool, truncated: bool, discount: int
) -> None:
    env = make_env(lambda: StrangeEnv([(False, False), (terminated, truncated)]))
    time_step, steps = last_time_step(env)
    assert (time_step.discount, steps) == (discount, 2)


def test_gymnasium_gets_its_dtype_the_seed_once_and_gives_its_info() -> None:
    env = make_env(StrangeEnv)  # Its seed is 0.
    env.reset()
    assert env.get_info() == {"seed": 0}
    env.step(np.array([0.5, 1.0], np.float32))
    assert env.get_info() == {"step": 1}
    assert env.actions[0].dtype == np.float64
    env.reset()
    assert env.get_info() == {"seed": None}


def test_discrete_action_is_a_number() -> None:
    env = StrangeEnv()
    env.action_space = spaces.Discrete(3)
    wrapped = loaders.wrap(env)
    wrapped.reset()
    wrapped.step(np.array(2))
    assert type(env.actions[0]) is int


def test_an_object_that_does_not_render_frames_says_how_to_make_it() -> None:
    env = loaders.wrap(gymnasium.make("Pendulum-v1"))
    env.reset()
    with pytest.raises(UserError, match="make it with render_mode='rgb_array'"):
        env.render("rgb_array")
    with pytest.raises(UserError, match="make it with"):
        loaders.load("gymnasium/Pendulum-v1").render("human")


def test_attributes_reach_gymnasiums_environment() -> None:
    env = loaders.load("gymnasium/Pendulum-v1")
    assert isinstance(env, gymnasium_env.GymnasiumEnv)
    assert env.max_torque == 2.0
    assert isinstance(env.gymnasium, gymnasium.Env)
    with pytest.raises(AttributeError):
        _ = env.not_there
