"""Environments by name and from objects: what each library's become."""

from __future__ import annotations

from typing import Any

import gym
import gymnasium
import numpy as np
import pytest
from tf_agents.specs import array_spec

from tests.environments.toy_envs import CountingEnv, first_steps, flat, last_time_step
from tfagents_system.environments import checks, layers, loaders
from tfagents_system.errors import UserError

# Name, shapes of the observation, shape of the action and its bound, time limit.
ENVIRONMENTS: list[tuple[str, Any, int, float, int]] = [
    ("Pendulum-v1", (3,), 1, 2.0, 200),
    ("MinitaurBulletEnv-v0", (28,), 8, 1.0, 1000),
    ("HalfCheetah-v5", (17,), 6, 1.0, 1000),
    ("dm_control/cartpole-swingup", {"position": (3,), "velocity": (2,)}, 1, 1.0, 1000),
]
NAMES = [row[0] for row in ENVIRONMENTS]


@pytest.mark.parametrize(("name", "shapes", "size", "bound", "limit"), ENVIRONMENTS)
def test_specs_and_time_steps(
    name: str, shapes: Any, size: int, bound: float, limit: int, load_env: Any
) -> None:
    env = load_env(name, seed=1)
    action = env.action_spec()
    assert (action.shape, action.dtype) == ((size,), np.float32)
    assert np.unique(np.abs([action.minimum, action.maximum])) == bound
    checks.check_spaces(env)
    spec = env.observation_spec()
    if isinstance(shapes, dict):
        assert {key: part.shape for key, part in spec.items()} == shapes
    else:
        assert spec.shape == shapes
    for time_step in (env.reset(), env.step(np.ones(size, np.float32))):
        assert array_spec.check_arrays_nest(time_step.observation, spec)
        assert flat(time_step.observation).dtype == np.float32
        assert time_step.reward.dtype == np.float32
        assert time_step.discount == 1
    assert layers.time_limit(env) == limit


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("max_episode_steps", [5, None, 1200])
def test_time_limit_has_discount_1(
    name: str, max_episode_steps: int | None, load_env: Any
) -> None:
    if name.startswith("Minitaur") and max_episode_steps != 5:
        name = "ReacherBulletEnv-v0"  # Cannot fall, and is faster.
    env = load_env(name, seed=1, max_episode_steps=max_episode_steps)
    own = {"ReacherBulletEnv-v0": 150, **{row[0]: row[4] for row in ENVIRONMENTS}}
    time_step, steps = last_time_step(env)
    expected = max_episode_steps or own[name]
    assert (time_step.discount, steps) == (1, expected)
    assert layers.time_limit(env) == expected


@pytest.mark.parametrize(
    "name", ["InvertedPendulumBulletEnv-v0", "InvertedPendulum-v5"]
)
def test_terminal_state_has_discount_0(name: str, load_env: Any) -> None:
    env = load_env(name, seed=1)
    env.reset()
    action = np.ones(1, np.float32)
    steps = [env.step(action)]
    while not steps[-1].is_last():
        steps.append(env.step(action))
    assert len(steps) < 1000
    assert steps[-1].discount == 0
    assert all(time_step.discount == 1 for time_step in steps[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_is_an_episode(name: str, load_env: Any) -> None:
    first, same, other = (first_steps(load_env(name, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", NAMES)
def test_frames_show_what_happens(name: str, load_env: Any) -> None:
    env = load_env(name, seed=1)
    env.reset()
    frames = []
    for _ in range(2):
        for _ in range(10):
            env.step(np.ones(env.action_spec().shape, np.float32))
        frames.append(env.render("rgb_array"))
    assert frames[0].shape == frames[1].shape
    assert frames[0].shape[2] == 3
    assert all(frame.dtype == np.uint8 and np.ptp(frame) > 0 for frame in frames)
    assert not np.array_equal(*frames)
    assert env.metadata.get("render_fps", 50) > 0


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("Pendulum-v1", "gym"),
        ("gym/Pendulum-v1", "gym"),
        ("gymnasium/Pendulum-v1", "gymnasium"),
        ("gym/MinitaurBulletEnv-v0", "pybullet_envs"),
        ("Hopper-v4", "gymnasium"),
        ("gymnasium.envs.mujoco:Hopper-v5", "gymnasium"),
    ],
)
def test_who_loads_a_name(name: str, module: str, load_env: Any) -> None:
    *_, innermost = layers.layers(load_env(name))
    assert type(innermost).__module__.partition(".")[0] == module


# Each line is what a person needs to go on.
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Pendulm-v1", "no environment Pendulm-v1; did you mean Pendulum-v1"),
        ("MinitaurBulletEnv-v1", "did you mean MinitaurBulletEnv-v0"),
        ("gymnasium/HalfChetah-v5", "no environment gymnasium/HalfChetah-v5; did you"),
        ("gym/HalfCheetah-v5", "there is no environment gym/HalfCheetah-v5"),
        ("dm_control/cartpole-swing", "did you mean dm_control/cartpole-swingup"),
        ("dm_control/cartpole", "did you mean dm_control/cartpole"),
        ("cartpole-swingup", "did you mean dm_control/cartpole-swingup"),
        ("qqqq", "^there is no environment qqqq$"),
        ("Ant-v2", "Ant-v2 needs mujoco-py, which no longer works; use Ant-v5"),
        ("HalfCheetah-v3", "use HalfCheetah-v5"),
        ("gymnasium/Hopper-v3", "use Hopper-v5"),
        ("no_module:MyEnv-v0", "no_module:MyEnv-v0: there is no module no_module"),
    ],
)
def test_bad_names(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        loaders.load(name)
    assert "\n" not in str(error.value)
    if "mujoco-py" not in str(error.value):
        assert "-v2" not in str(error.value)


def test_time_limit_below_1_is_refused() -> None:
    with pytest.raises(UserError, match="max_episode_steps must be 1 or more, got 0"):
        loaders.load("Pendulum-v1", max_episode_steps=0)


def test_a_pyenvironment_stays_what_it_is() -> None:
    env = CountingEnv()
    assert loaders.wrap(env, seed=3) is env


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (object(), "got object"),
        (CountingEnv, "got the class CountingEnv: call it"),
        (gym.vector.SyncVectorEnv([lambda: gym.make("Pendulum-v1")]), "SyncVectorEnv"),
        (
            gymnasium.make_vec("Pendulum-v1", vectorization_mode="sync"),
            "got SyncVectorEnv",
        ),
    ],
)
def test_what_is_no_single_environment_is_refused(env: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaders.wrap(env)
