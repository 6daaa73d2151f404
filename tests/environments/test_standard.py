"""What the framework adds around an environment; pitfalls of gym's wrappers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from tf_agents.environments import py_environment, suite_gym, suite_pybullet, wrappers
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tests.environments.toy_envs import (
    CountingEnv,
    EnvParams,
    last_time_step,
    make_env,
    make_falling_cartpole,
)
from tfagents_system.environments import hooks, standard
from tfagents_system.errors import UserError


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
    inner = hooks.unwrap(env)
    assert inner.last_action.dtype == np.float64


def test_infinite_bounds_stay_bounds_of_float32() -> None:
    class Bounded(CountingEnv):
        def observation_spec(self) -> Any:
            return array_spec.BoundedArraySpec((2,), np.float64, -np.inf, [np.inf, 1.0])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = make_env(Bounded).observation_spec()
    assert spec.dtype == spec.maximum.dtype == np.float32
    assert spec.maximum.tolist() == [np.finfo(np.float32).max, 1.0]


def test_set_state_reaches_the_users_environment() -> None:
    env = make_env(CountingEnv)
    env.set_state({"mass": 2.0})
    assert hooks.unwrap(env).state == {"mass": 2.0}


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


def test_the_horizon_counts_anew_where_a_step_begins_an_episode() -> None:
    env = make_env(AutoReset, horizon=4)
    env.reset()
    is_last = [bool(env.step(np.zeros(1, np.float32)).is_last()) for _ in range(11)]
    # Three steps, and one that resets.
    assert is_last == [False, False, True, False] * 2 + [False, False, True]


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
    env = hooks.make_collect_env(EnvParams(lambda: BrokenEnv(broken)), 0, 0)
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


def test_an_episode_follows_from_seed_and_number() -> None:
    env = make_env(lambda: suite_gym.load("Pendulum-v1"))
    first: dict[tuple[int, int], tuple[float, ...]] = {}
    for seed, episode in ((0, 0), (0, 1), (1, 0), (0, 0)):
        standard.seed_episode(env, seed, episode)
        observation = tuple(env.reset().observation)
        assert first.setdefault((seed, episode), observation) == observation
    assert len(set(first.values())) == 3
    standard.seed_episode(make_env(make_falling_cartpole), 0, 0)  # Cannot be seeded.
