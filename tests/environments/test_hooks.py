"""Environments as the hooks of a `TrainParams` make them."""

from __future__ import annotations

from typing import Any

import gym
import gymnasium
import numpy as np
import pytest
from dm_control import suite
from tf_agents.environments import batched_py_environment

from tests.environments.toy_envs import (
    CountingEnv,
    EnvParams,
    first_steps,
    last_time_step,
    make_env,
)
from tfagents_system.environments import hooks, standard
from tfagents_system.errors import UserError


def seed_first(self: Any, seed: Any = None, *args: Any, **kwargs: Any) -> Any:
    self.got.append((seed, args, kwargs))
    return CountingEnv()


def seed_as_keyword(self: Any, *args: Any, **kwargs: Any) -> Any:
    self.got.append((kwargs.pop("seed"), args, kwargs))
    return CountingEnv()


def no_seed(self: Any, name: str, size: int = 0) -> Any:
    self.got.append((9, (name,), {"size": size}))
    return CountingEnv()


@pytest.mark.parametrize("env_ctor", [seed_first, seed_as_keyword, no_seed])
def test_env_ctor_gets_the_seed_as_its_signature_takes_it(env_ctor: Any) -> None:
    def collect_env_args_kwargs(self: Any) -> Any:
        return ("name",), {"size": 3}

    hooks_of_the_user = {
        "env_ctor": env_ctor,
        "collect_env_args_kwargs": collect_env_args_kwargs,
        "got": [],
    }
    params = type("TrainParams", (EnvParams,), hooks_of_the_user)(CountingEnv)
    hooks.make_collect_env(params, worker=2, seed=9)
    assert params.got == [(9, ("name",), {"size": 3})]


def test_eval_hook_gets_worker_and_the_users_collect_env() -> None:
    got: list[Any] = []

    class Hooked(EnvParams):
        def eval_env_args_kwargs(self, *args: Any, **kwargs: Any) -> Any:
            got.append(kwargs)
            return (), {}

    params = Hooked(CountingEnv)
    env = hooks.make_collect_env(params, worker=3, seed=0)
    hooks.make_eval_env(params, 3, 0, env)
    assert got[0]["id"] == 3
    assert got[0]["collect_env"] is hooks.unwrap(env)
    hooks.make_eval_env(params, 0, 0)  # As run.py: the hook gets one all the same.
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


def test_hooks_without_arguments_are_called_without_any() -> None:
    def no_arguments(self: Any) -> Any:
        return (), {"size": 4}

    hooks_of_the_user = {
        "env_ctor": lambda self, size, seed: CountingEnv(terminal_at=size),
        "collect_env_args_kwargs": no_arguments,
        "eval_env_args_kwargs": no_arguments,
    }
    params = type("TrainParams", (EnvParams,), hooks_of_the_user)(CountingEnv)
    env = hooks.make_collect_env(params, worker=0, seed=0)
    eval_env = hooks.make_eval_env(params, 0, 0, env)
    assert last_time_step(env)[1] == last_time_step(eval_env)[1] == 4
