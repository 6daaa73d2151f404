"""The horizon of a JSON that gives none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gym.envs.classic_control import PendulumEnv

from tests.conftest import PENDULUM_PARAMS
from tests.environments.toy_envs import CountingEnv, EnvParams
from tfagents_system.environments import horizon
from tfagents_system.errors import UserError

PATHS = (Path("my_params.py"), Path("my_config.json"))


def test_a_horizon_of_the_json_is_kept(load: Any) -> None:
    params = load(horizon=7)
    assert horizon.complete(params, *PATHS) is params


def test_the_environments_time_limit_takes_its_place(load: Any) -> None:
    params = load(horizon=None, mine=1)
    completed = horizon.complete(params, *PATHS)
    assert completed.env_config == {"mine": 1, "horizon": 200}
    # One that was built with it: what `__init__` makes of the horizon is there.
    assert completed is not params
    assert params.env_config == {"mine": 1}


def test_the_environment_that_was_asked_is_closed(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Any] = []
    monkeypatch.setattr(PendulumEnv, "close", lambda env: closed.append(env))
    horizon.complete(load(horizon=None), *PATHS)
    assert len(closed) == 1


def test_without_either_the_line_says_what_to_add() -> None:
    params = EnvParams(CountingEnv)
    del params.env_config["horizon"]
    with pytest.raises(UserError, match=r"horizon is missing from my_config\.json"):
        horizon.complete(params, *PATHS)


def test_an_env_ctor_that_reads_the_horizon_is_named_by_its_line(
    load: Any, tmp_path: Path
) -> None:
    text = PENDULUM_PARAMS.replace(
        "env.seed(seed)", 'env.seed(self.env_config["horizon"])'
    )
    params = load(text, horizon=None)
    message = r'my_params.py:\d+ reads env_config\["horizon"\], which the JSON'
    with pytest.raises(UserError, match=message):
        horizon.complete(params, tmp_path / "my_params.py", PATHS[1])
