"""What the framework adds around an environment; pitfalls of gym's wrappers."""

from __future__ import annotations

import warnings
from typing import Any, Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from tf_agents.environments import (
    batched_py_environment,
    py_environment,
    suite_gym,
    suite_pybullet,
    wrappers,
)
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.environments import standard
from tfagents_system.errors import UserError
from tfagents_system.train_params_base import TrainParamsBase


class EnvParams(TrainParamsBase):
    """Builds what it is given."""

    def __init__(self, make: Callable[..., Any], horizon: int = 1000) -> None:
        super().__init__({"horizon": horizon})
        self.make = make

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        return self.make()


class CountingEnv(py_environment.PyEnvironment):
    """Float64 throughout; never ends, never resets itself; counts its steps."""

    def __init__(self, terminal_at: int | None = None) -> None:
        super().__init__(handle_auto_reset=False)
        self.steps = 0
        self.terminal_at = terminal_at
        self.last_action: Any = None
        self.state: dict[str, Any] = {}

    def observation_spec(self) -> Any:
        return array_spec.ArraySpec((2,), np.float64, "observation")

    def action_spec(self) -> Any:
        return array_spec.BoundedArraySpec((1,), np.float64, -1.0, 1.0, "action")

    def set_state(self, state: dict[str, Any]) -> None:
        self.state.update(state)

    def _observation(self) -> NDArray[Any]:
        return np.array([self.steps, 0.5])

    def _reset(self) -> ts.TimeStep:
        self.steps = 0
        return ts.restart(self._observation())

    def _step(self, action: Any) -> ts.TimeStep:
        self.steps += 1
        self.last_action = action
        if self.steps == self.terminal_at:
            return ts.termination(self._observation(), 1.0)
        return ts.transition(self._observation(), 1.0)


def last_time_step(env: py_environment.PyEnvironment) -> tuple[ts.TimeStep, int]:
    """Runs one episode with a constant action; returns its end and length."""
    action = np.zeros(env.action_spec().shape, np.float32)
    time_step = env.reset()
    length = 0
    while not time_step.is_last():
        time_step = env.step(action)
        length += 1
    return time_step, length


def make_env(make: Callable[..., Any], horizon: int = 1000) -> Any:
    """Builds an environment as a worker does."""
    return standard.make_collect_env(EnvParams(make, horizon), worker=0, seed=0)


@pytest.mark.parametrize(
    ("suite", "name", "length"),
    [
        (suite_gym, "Pendulum-v1", 200),
        (suite_pybullet, "ReacherBulletEnv-v0", 150),
    ],
)
def test_time_limit_keeps_discount_1(suite: Any, name: str, length: int) -> None:
    plain, _ = last_time_step(suite.load(name))
    assert plain.discount == 0  # What gym 0.23 and TF-Agents 0.19 make of it.
    time_step, steps = last_time_step(make_env(lambda: suite.load(name)))
    assert time_step.discount == 1
    assert steps == length


def test_horizon_shorter_than_the_time_limit_keeps_discount_1() -> None:
    env = make_env(lambda: suite_gym.load("Pendulum-v1"), horizon=7)
    time_step, steps = last_time_step(env)
    assert (time_step.discount, steps) == (1, 7)


def test_terminal_state_keeps_discount_0() -> None:
    env = make_env(lambda: suite_pybullet.load("InvertedPendulumBulletEnv-v0"))
    time_step, steps = last_time_step(env)
    assert time_step.discount == 0
    assert steps < 1000


def test_terminal_state_at_the_horizon_stays_terminal() -> None:
    time_step, _ = last_time_step(make_env(lambda: CountingEnv(5), horizon=5))
    assert time_step.discount == 0


def test_environment_without_end_or_auto_reset_is_cut_and_starts_again() -> None:
    env = make_env(CountingEnv, horizon=4)
    for _ in range(3):
        time_step, steps = last_time_step(env)
        assert (time_step.discount, steps) == (1, 4)


def test_float64_becomes_float32_and_actions_go_back() -> None:
    env = make_env(CountingEnv)
    assert env.observation_spec().dtype == env.action_spec().dtype == np.float32
    time_step = env.reset()
    assert time_step.observation.dtype == np.float32
    time_step = env.step(np.array([0.25], np.float32))
    assert time_step.observation.dtype == np.float32
    assert time_step.reward.dtype == time_step.discount.dtype == np.float32
    inner = standard.unwrap(env)
    assert inner.last_action.dtype == np.float64


def test_infinite_bounds_stay_bounds_of_float32() -> None:
    env = CountingEnv()
    bounded = array_spec.BoundedArraySpec((2,), np.float64, -np.inf, [np.inf, 1.0])
    env.observation_spec = lambda: bounded  # type: ignore[method-assign]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = make_env(lambda: env).observation_spec()
    assert spec.dtype == spec.maximum.dtype == np.float32
    assert spec.maximum.tolist() == [np.finfo(np.float32).max, 1.0]


def test_set_state_reaches_the_users_environment() -> None:
    env = make_env(CountingEnv)
    env.set_state({"mass": 2.0})
    assert standard.unwrap(env).state == {"mass": 2.0}


@pytest.mark.parametrize("style", ["positional", "keyword", "absent"])
def test_env_ctor_gets_the_seed_in_every_style(style: str) -> None:
    got: list[Any] = []

    class Named(EnvParams):
        def collect_env_args_kwargs(self) -> Any:
            return ("name",), {"size": 3}

    class Positional(Named):
        def env_ctor(self, seed: Any = None, *args: Any, **kwargs: Any) -> Any:
            got.append((seed, args, kwargs))
            return CountingEnv()

    class Keyword(Named):
        def env_ctor(self, *args: Any, **kwargs: Any) -> Any:
            got.append((kwargs.pop("seed"), args, kwargs))
            return CountingEnv()

    class Absent(Named):
        def env_ctor(self, name: str, size: int = 0) -> Any:  # type: ignore[override]
            got.append((9, (name,), {"size": size}))
            return CountingEnv()

    kind = {"positional": Positional, "keyword": Keyword, "absent": Absent}[style]
    standard.make_collect_env(kind(CountingEnv), worker=2, seed=9)
    assert got == [(9, ("name",), {"size": 3})]


def test_eval_hook_gets_worker_and_the_users_collect_env() -> None:
    got: list[Any] = []

    class Hooked(EnvParams):
        def eval_env_args_kwargs(self, *args: Any, **kwargs: Any) -> Any:
            got.append(kwargs)
            return (), {}

    params = Hooked(CountingEnv)
    env = standard.make_collect_env(params, worker=3, seed=0)
    standard.make_eval_env(params, 3, 0, env)
    assert got[0]["id"] == 3
    assert got[0]["collect_env"] is standard.unwrap(env)
    standard.make_eval_env(params, 0, 0)  # As run.py: the hook gets one all the same.
    assert isinstance(got[1]["collect_env"], CountingEnv)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: None, "must return a tf_agents PyEnvironment, .* got NoneType"),
        (
            lambda: batched_py_environment.BatchedPyEnvironment([CountingEnv()]),
            "one environment, not a batch",
        ),
    ],
)
def test_what_is_no_environment_is_refused(make: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_env(make)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (array_spec.ArraySpec((1,), np.float32), "continuous bounded"),
        (array_spec.BoundedArraySpec((), np.int64, 0, 3), "continuous bounded"),
        (array_spec.BoundedArraySpec((1,), np.float32, -np.inf, 1.0), "finite"),
        (array_spec.BoundedArraySpec((1,), np.float32, 1.0, 1.0), "below its maximum"),
    ],
)
def test_action_space_that_sac_cannot_use_is_refused(spec: Any, message: str) -> None:
    env = make_env(CountingEnv)
    env._action_spec = spec
    with pytest.raises(UserError, match=message):
        standard.check_spaces(env)


class BrokenEnv(CountingEnv):
    """Returns a time step that the test chooses, from its third step on."""

    def __init__(self, broken: ts.TimeStep) -> None:
        super().__init__()
        self.broken = broken

    def _step(self, action: Any) -> ts.TimeStep:
        good = super()._step(action)
        return self.broken if self.steps >= 3 else good


GOOD = np.array([1.0, 2.0])


@pytest.mark.parametrize(
    ("observation", "reward", "discount", "message"),
    [
        (np.array([1.0, np.nan]), 1.0, 1.0, "an observation with NaN"),
        (np.array([np.inf, 1.0]), 1.0, 1.0, "an observation with NaN"),
        (np.array([1.0]), 1.0, 1.0, r"shape \(1,\), the spec says \(2,\)"),
        (np.float64(1.0), 1.0, 1.0, r"shape \(\), the spec says \(2,\)"),
        (GOOD, np.nan, 1.0, "the reward nan"),
        (GOOD, -np.inf, 1.0, "the reward -inf"),
        (GOOD, np.ones(2), 1.0, r"the reward \[1. 1.\]"),
        (GOOD, 1.0, 1.5, "the discount 1.5"),
        (GOOD, 1.0, np.nan, "the discount nan"),
    ],
)
def test_what_would_damage_the_training_is_refused(
    observation: Any, reward: Any, discount: float, message: str
) -> None:
    broken = ts.TimeStep(ts.StepType.MID, reward, discount, observation)
    env = standard.make_collect_env(EnvParams(lambda: BrokenEnv(broken)), 0, 0)
    env.reset()
    action = np.zeros(1, np.float32)
    env.step(action)
    env.step(action)
    with pytest.raises(UserError, match=message) as error:
        env.step(action)
    assert "at step 3 of an episode" in str(error.value)


@pytest.mark.parametrize("with_actions", [False, True])
def test_history_wrapper_works(with_actions: bool) -> None:
    history = wrappers.HistoryWrapper(
        suite_gym.load("Pendulum-v1"), history_length=3, include_actions=with_actions
    )
    env = standard.StandardEnvironment(history, horizon=5)
    before = env.reset()
    for _ in range(5):
        after = env.step(np.array([0.5], np.float32))
    assert after.is_last()
    assert after.discount == 1
    arrays = [step.observation for step in (before, after)]
    if with_actions:
        np.testing.assert_array_equal(arrays[1]["action"], [[0.5]] * 3)
        arrays = [observation["observation"] for observation in arrays]
    assert not arrays[0][:2].any()
    assert arrays[1].shape == (3, 3)
    assert len(np.unique(arrays[1], axis=0)) == 3
    # A new episode has nothing of the old one.
    again = env.reset().observation
    assert not (again["observation"] if with_actions else again)[:2].any()
