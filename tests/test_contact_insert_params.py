"""The params of ContactInsert: which environment is made, and what networks see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.acting.numpy_actor import NumpyActor
from tfagents_system.algorithm import specs
from tfagents_system.environments import checks, hooks
from tfagents_system.learning.build import build_agent
from tfagents_system.settings import configuration, params_file
from tfagents_system.train_params_base import TrainParamsBase

PARAMS = REPOSITORY / "tfagents_system" / "contact_insert_params.py"
CONFIGS = sorted((REPOSITORY / "config").glob("contact_insert*.json"))


def load_params(config: dict[str, Any]) -> Any:
    return params_file.load_params(PARAMS, config, TrainParamsBase)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_collecting_starts_easy_and_evaluation_is_at_full_difficulty(
    path: Path,
) -> None:
    config = configuration.load_config(path)
    params = load_params(config)
    collect = hooks.make_collect_env(params, worker=0, seed=0)
    evaluate = hooks.make_eval_env(params, worker=0, seed=0)
    first = {name: e["range"][0] for name, e in config["curriculum"].items()}
    user_env: Any = hooks.unwrap(collect)
    for name, value in first.items():
        assert getattr(user_env, name) == value
    assert user_env.forced_init_idx is None
    user_env = hooks.unwrap(evaluate)
    assert (user_env.noise_level, user_env.goalreach_steps) == (1.0, 10)
    assert user_env.forced_init_idx == 0
    checks.check_environment(collect, config)
    collect.close()
    evaluate.close()


def test_without_a_curriculum_collecting_is_at_full_difficulty() -> None:
    env = load_params({"horizon": 128}).env_ctor(seed=3)
    assert (env.noise_level, env.goalreach_steps) == (1.0, 10)
    env.close()


def test_networks_see_the_history_only_and_workers_act_in_numpy() -> None:
    params = load_params(json.loads(CONFIGS[0].read_text()))
    env = hooks.make_collect_env(params, worker=0, seed=0)
    agent = build_agent(params, specs.read_specs(env))
    actor = NumpyActor.of(agent.collect_policy)
    assert actor._hidden[0][0].shape == (8 * 12, 256)
    assert agent._critic_network_1.trainable_variables[0].shape == (8 * 12 + 6, 256)
    assert actor.act(env.reset().observation).shape == (6,)
    env.close()
