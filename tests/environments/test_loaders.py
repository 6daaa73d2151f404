"""Environments by name and from objects: what each library's become."""

from __future__ import annotations

import collections
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import gym
import gymnasium
import numpy as np
import pytest
import tomli
from dm_control import suite
from dm_control.rl import control
from dm_control.suite import cartpole
from gymnasium import spaces
from numpy.typing import NDArray
from tf_agents.environments import py_environment, suite_gym, wrappers
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tests.conftest import REPOSITORY
from tests.environments.test_standard import CountingEnv, last_time_step, make_env
from tfagents_system.environments import (
    extras,
    gymnasium_env,
    layers,
    loaders,
    standard,
)
from tfagents_system.errors import UserError

# Name, shapes of the observation, shape of the action and its bound, time limit.
ENVIRONMENTS: list[tuple[str, Any, int, float, int]] = [
    ("Pendulum-v1", (3,), 1, 2.0, 200),
    ("MinitaurBulletEnv-v0", (28,), 8, 1.0, 1000),
    ("HalfCheetah-v5", (17,), 6, 1.0, 1000),
    ("dm_control/cartpole-swingup", {"position": (3,), "velocity": (2,)}, 1, 1.0, 1000),
]
NAMES = [row[0] for row in ENVIRONMENTS]


@pytest.fixture
def load() -> Iterator[Callable[..., Any]]:
    """Returns a function that loads an environment as a worker has it."""
    loaded = []

    def load_standard(name: str, horizon: int = 10000, **kwargs: Any) -> Any:
        env = standard.StandardEnvironment(loaders.load(name, **kwargs), horizon)
        loaded.append(env)
        return env

    yield load_standard
    for env in loaded:
        env.close()


def flat(observation: Any) -> NDArray[Any]:
    """Returns all numbers of an observation."""
    if isinstance(observation, dict):
        return np.concatenate([flat(observation[key]) for key in sorted(observation)])
    return np.ravel(observation)


def first_steps(env: Any, count: int = 5) -> NDArray[Any]:
    """Returns the observations of an episode's beginning."""
    action = np.full(env.action_spec().shape, 0.5, np.float32)
    observations = [flat(env.reset().observation)]
    observations += [flat(env.step(action).observation) for _ in range(count)]
    return np.stack(observations)


@pytest.mark.parametrize(("name", "shapes", "size", "bound", "limit"), ENVIRONMENTS)
def test_specs_and_time_steps(
    name: str, shapes: Any, size: int, bound: float, limit: int, load: Any
) -> None:
    env = load(name, seed=1)
    action = env.action_spec()
    assert (action.shape, action.dtype) == ((size,), np.float32)
    assert np.unique(np.abs([action.minimum, action.maximum])) == bound
    standard.check_spaces(env)
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
    name: str, max_episode_steps: int | None, load: Any
) -> None:
    if name.startswith("Minitaur") and max_episode_steps != 5:
        name = "ReacherBulletEnv-v0"  # Cannot fall, and is faster.
    env = load(name, seed=1, max_episode_steps=max_episode_steps)
    own = {"ReacherBulletEnv-v0": 150, **{row[0]: row[4] for row in ENVIRONMENTS}}
    time_step, steps = last_time_step(env)
    expected = max_episode_steps or own[name]
    assert (time_step.discount, steps) == (1, expected)
    assert layers.time_limit(env) == expected


@pytest.mark.parametrize(
    "name", ["InvertedPendulumBulletEnv-v0", "InvertedPendulum-v5"]
)
def test_terminal_state_has_discount_0(name: str, load: Any) -> None:
    env = load(name, seed=1)
    env.reset()
    action = np.ones(1, np.float32)
    steps = [env.step(action)]
    while not steps[-1].is_last():
        steps.append(env.step(action))
    assert len(steps) < 1000
    assert steps[-1].discount == 0
    assert all(time_step.discount == 1 for time_step in steps[:-1])


class FallingCartpole(cartpole.Balance):
    """Ends in its third step."""

    def initialize_episode(self, physics: Any) -> None:
        self.steps = -1  # Of which the first begins the episode.
        super().initialize_episode(physics)

    def after_step(self, physics: Any) -> None:
        super().after_step(physics)
        self.steps += 1

    def get_termination(self, physics: Any) -> float | None:
        return 0.0 if self.steps == 3 else None


def make_falling_cartpole() -> control.Environment:
    physics = cartpole.Physics.from_xml_string(*cartpole.get_model_and_assets())
    task = FallingCartpole(swing_up=False, sparse=False, random=1)
    return control.Environment(physics, task)


def test_terminal_state_of_dm_control_has_discount_0() -> None:
    time_step, steps = last_time_step(make_env(make_falling_cartpole))
    assert (time_step.discount, steps) == (0, 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_is_an_episode(name: str, load: Any) -> None:
    first, same, other = (first_steps(load(name, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_only_the_first_episode_of_gymnasium_begins_with_the_seed(load: Any) -> None:
    env = load("HalfCheetah-v5", seed=1)
    assert not np.array_equal(env.reset().observation, env.reset().observation)
    env.seed(1)
    again = env.reset().observation
    assert np.array_equal(again, load("HalfCheetah-v5", seed=1).reset().observation)


@pytest.mark.parametrize("name", NAMES)
def test_frames_show_what_happens(name: str, load: Any) -> None:
    env = load(name, seed=1)
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
def test_who_loads_a_name(name: str, module: str, load: Any) -> None:
    *_, innermost = layers.layers(load(name))
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


@pytest.mark.parametrize(
    ("package", "name", "messages"),
    [
        ("gymnasium", "HalfCheetah-v5", ["HalfCheetah-v5 needs gymnasium, which is"]),
        ("gymnasium", "gymnasium/CartPole-v1", ["CartPole-v1 needs gymnasium"]),
        ("mujoco", "HalfCheetah-v5", ["HalfCheetah-v5 needs mujoco, which is not"]),
        ("dm_control", "dm_control/cartpole-swingup", ["needs dm_control, which"]),
        (
            "gymnasium",
            "Pendulm-v1",
            ["did you mean Pendulum-v1", "gymnasium, which has more of them, is not"],
        ),
    ],
)
def test_missing_package(
    package: str, name: str, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if it had never been imported, and cannot be.
    imported = [package] + ["gymnasium.envs.mujoco"] * (package == "mujoco")
    for module in list(sys.modules):
        if any(f"{module}.".startswith(f"{name}.") for name in imported):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as error:
        loaders.load(name)
    extra = "dm_control" if package == "dm_control" else "gymnasium"
    command = extras.pip_command(extras.REQUIREMENTS[extra])
    assert command.startswith(f"{sys.executable} -m pip install '{extra}")
    assert str(error.value).endswith(f"not installed: {command}")
    for message in messages:
        assert message in str(error.value)


def test_missing_package_of_another_extra_of_gymnasium(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for name in ("LunarLander-v3", "BipedalWalker-v3"):
        with pytest.raises(UserError, match=r"pip install 'gymnasium\[box2d\]>=1.0"):
            loaders.load(name)


def test_commands_agree_with_the_extras_of_pyproject() -> None:
    project = tomli.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    optional = dict(project["optional-dependencies"])
    del optional["dev"]
    assert optional == extras.REQUIREMENTS


def test_optional_packages_are_not_imported_before_they_are_needed() -> None:
    check = (
        "import sys; from tfagents_system.environments import loaders;"
        "loaders.wrap(loaders.load('Pendulum-v1'));"
        "names = {'gymnasium', 'dm_control', 'dm_env', 'mujoco', 'pybullet_envs'};"
        "print(names & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


# Objects that env_ctor returns.


@pytest.mark.parametrize(
    "make",
    [
        lambda: gym.make("Pendulum-v1"),
        lambda: gymnasium.make("Pendulum-v1"),
        lambda: suite.load("pendulum", "swingup", task_kwargs={"random": 1}),
    ],
)
def test_env_ctor_may_return_an_object_of_any_library(make: Any) -> None:
    env = make_env(make, horizon=50)
    assert isinstance(env, standard.StandardEnvironment)
    time_step, steps = last_time_step(env)
    assert (time_step.discount, steps) == (1, 50)
    # make_env's seed, or dm_control's own.
    assert np.array_equal(first_steps(make_env(make)), first_steps(make_env(make)))
    env.close()


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


class StrangeEnv(gymnasium.Env[Any, Any]):
    """Nested observations and whatever end the test wants."""

    def __init__(self, ends: list[tuple[bool, bool]] | None = None) -> None:
        self.observation_space = spaces.Dict(
            collections.OrderedDict(
                picture=spaces.Box(0, 255, (4, 5, 3), np.uint8),
                arm=spaces.Tuple(
                    [
                        spaces.Box(np.array([-1.0, -2.0]), 3.0, dtype=np.float64),
                        spaces.Discrete(3, start=5),
                    ]
                ),
                bits=spaces.MultiBinary(2),
                many=spaces.MultiDiscrete(np.array([2, 3])),
            )
        )
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float64)
        self.ends = ends or [(False, False)]
        self.actions: list[Any] = []
        self.numbers = np.zeros(2)

    def _observation(self) -> dict[str, Any]:
        return {  # In another order than the space.
            "many": [1, 2],
            "bits": np.array([0, 1], np.int8),
            "arm": (self.numbers, 6),
            "picture": np.full((4, 5, 3), 7, np.uint8),
        }

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observation(), {"seed": seed}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self.numbers += 1  # The array that it has returned already.
        terminated, truncated = self.ends[min(len(self.actions), len(self.ends)) - 1]
        info = {"step": len(self.actions)}
        return self._observation(), 0.5, terminated, truncated, info


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


# set_state and time limits, within wrappers.


class Stateful:
    """Keeps what it gets."""

    state: Any = None

    def set_state(self, state: Any) -> None:
        self.state = state


class StatefulGymnasium(Stateful, StrangeEnv):
    pass


class StatefulGym(gym.envs.classic_control.PendulumEnv):
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


class LastAtReset(CountingEnv):
    """Says that each episode is over when it begins."""

    def _reset(self) -> ts.TimeStep:
        return ts.termination(super()._reset().observation, 0.0)


class FirstAtStep(CountingEnv):
    """Begins again without having said that the episode was over."""

    def _step(self, action: Any) -> ts.TimeStep:
        return ts.restart(super()._step(action).observation)


class AutoReset(py_environment.PyEnvironment):
    """Lets the base class reset it after a last time step."""

    def __init__(self) -> None:
        super().__init__(handle_auto_reset=True)
        self._inner = CountingEnv(terminal_at=3)

    def observation_spec(self) -> Any:
        return self._inner.observation_spec()

    def action_spec(self) -> Any:
        return self._inner.action_spec()

    def _reset(self) -> ts.TimeStep:
        return self._inner.reset()

    def _step(self, action: Any) -> ts.TimeStep:
        return self._inner.step(action)


def test_time_steps_that_would_make_a_worker_spin_are_refused() -> None:
    with pytest.raises(UserError, match=r"returned a last time step \(at reset\)"):
        make_env(LastAtReset).reset()
    env = make_env(FirstAtStep)
    env.reset()
    with pytest.raises(UserError, match=r"a first time step .*\(at step 1 of"):
        env.step(np.zeros(1, np.float32))


def test_an_environment_that_resets_itself_has_whole_episodes() -> None:
    env = make_env(AutoReset)
    for _ in range(3):
        time_step, steps = last_time_step(env)
        assert (time_step.discount, steps) == (0, 3)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "egl"),
        ({"MUJOCO_GL": "osmesa"}, "osmesa"),
        ({"MUJOCO_GL": ""}, ""),
        ({"DISPLAY": ":0"}, "None"),
    ],
)
def test_what_mujoco_renders_with(variables: dict[str, str], expected: str) -> None:
    code = (
        "import os; from tfagents_system import headless;"
        "headless.render_without_screen(); print(os.environ.get('MUJOCO_GL'))"
    )
    unset = ("MUJOCO_GL", "DISPLAY")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(REPOSITORY),
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == expected


def test_mujoco_without_its_opengl_libraries_says_what_to_install() -> None:
    code = (
        "import ctypes, ctypes.util; ctypes.util.find_library = lambda name: None;"
        "from tfagents_system.environments import loaders;"
        "from tfagents_system.errors import run_command;"
        "run_command(lambda: loaders.load('HalfCheetah-v5'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "MUJOCO_GL": "osmesa"},
        capture_output=True,
        text=True,
        check=False,
    )
    last_line = result.stderr.splitlines()[-1]
    assert last_line.startswith("error: MuJoCo cannot be imported with MUJOCO_GL=osmes")
    assert "apt install libegl1" in last_line
