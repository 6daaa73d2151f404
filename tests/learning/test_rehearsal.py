"""All that a training is made of, built and checked once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PENDULUM_PARAMS
from tfagents_system.errors import UserError
from tfagents_system.learning.rehearsal import rehearse
from tfagents_system.settings.hyperparameters import Execution

PATHS = (Path("my_params.py"), Path("my_config.json"))


def test_everything_is_built_with_the_environments_horizon(load: Any) -> None:
    params = load(horizon=None)
    execution = Execution(noise_seed=5)
    params, specs, agent = rehearse(params, *PATHS, execution)
    assert params.env_config["horizon"] == 200
    assert params.execution == execution
    assert specs.observation.shape == (3,)
    assert agent.time_step_spec.observation == specs.observation


LOAD = 'suite_gym.load("Pendulum-v1")'


@pytest.mark.parametrize(
    ("env", "hook", "message"),
    [
        (
            "self.no_such_attribute",
            "",
            "^collect_env_args_kwargs and env_ctor failed, see above: AttributeError: ",
        ),
        (
            LOAD.replace('"Pendulum-v1"', 'kwargs.get("name", "Pendulum-v1")'),
            'def eval_env_args_kwargs(self): return (), {"name": "CartPole-v1"}',
            "^the environment to evaluate in has .*, the one to collect in ",
        ),
        (
            LOAD,
            "def agent_class(self): return len",
            "^agent_ctor, actor_ctor and critic_ctor failed, see above: TypeError: ",
        ),
    ],
)
def test_what_fails_is_named_in_one_line(
    load: Any, env: str, hook: str, message: str
) -> None:
    params = load(PENDULUM_PARAMS.replace(LOAD, env) + f"\n    {hook}\n")
    with pytest.raises(UserError, match=message) as error:
        rehearse(params, *PATHS)
    assert "\n" not in str(error.value)


def test_the_users_traceback_is_printed(
    load: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    params = load(PENDULUM_PARAMS.replace("env.seed(seed)", "env.seed(seed, 1, 2)"))
    with pytest.raises(UserError):
        rehearse(params, *PATHS)
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert "env.seed(seed, 1, 2)" in errors


SCALAR_ACTION = """
import numpy as np
from tf_agents.environments import random_py_environment
from tf_agents.specs import array_spec
from tfagents_system.train_params_base import TrainParamsBase


class TrainParams(TrainParamsBase):
    def env_ctor(self, seed=None):
        return random_py_environment.RandomPyEnvironment(
            array_spec.BoundedArraySpec((3,), np.float32, -1, 1),
            array_spec.BoundedArraySpec((), np.float32, -1, 1),
        )
"""


def test_an_action_that_the_environment_cannot_take_is_refused(load: Any) -> None:
    message = r"the action of the agent does not fit action_spec\(\): got float32\[1\]"
    with pytest.raises(UserError, match=message):
        rehearse(load(SCALAR_ACTION), *PATHS)
