"""The flags as hyperparameters."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.environments import hooks
from tfagents_system.learning.rehearsal import rehearse
from tfagents_system.one_process import flags
from tfagents_system.one_process.params import FlagParams
from tfagents_system.settings.params_file import make_params


def params_of(line: str, **config: Any) -> FlagParams:
    """Returns the params of a command line."""
    _, given = flags.parse(["--logdir", "runs", *line.split()])
    defaults = {name: flag.default for name, flag in flags.FLAGS.items()}
    kwargs = {**defaults, **given}
    return make_params(FlagParams, REPOSITORY / "params.py", {**config, **kwargs})


@pytest.mark.parametrize(
    ("line", "attributes"),
    [
        ("--policy_lr 0.1", {"actor_learning_rate": 0.1, "alpha_learning_rate": 3e-4}),
        ("--q_lr 0.1", {"critic_learning_rate": 0.1, "actor_learning_rate": 3e-4}),
        ("--alpha_lr 0.1", {"alpha_learning_rate": 0.1, "critic_learning_rate": 3e-4}),
        ("--reward_scale 5", {"reward_scale_factor": 5.0}),
        ("--discount 0.5", {"discount": 0.5}),
        ("--tau 0.5", {"target_update_tau": 0.5}),
        ("--target_delay 3", {"target_update_period": 3}),
        ("--target_entropy -3", {"target_entropy": -3.0}),
        ("--batch_size 7", {"train_batch_size": 7}),
        ("--seed 7", {"seed": 7}),
        ("--iterations 7", {"num_iter": 7, "total_train_steps": 7}),
        (
            "--hidden 8 4",
            {
                "actor_fc_layer_params": (8, 4),
                "critic_joint_fc_layer_params": (8, 4),
            },
        ),
    ],
)
def test_a_flag_is_a_hyperparameter(line: str, attributes: dict[str, Any]) -> None:
    params = params_of(line)
    assert {name: getattr(params, name) for name in attributes} == attributes


def test_env_is_loaded_by_its_name_with_the_seed() -> None:
    params = params_of("--env HalfCheetah-v5 --horizon 50")
    env, same = (hooks.make_collect_env(params, 0, seed) for seed in (3, 3))
    assert env.observation_spec().shape == (17,)
    assert (env.reset().observation == same.reset().observation).all()


@pytest.mark.parametrize(("line", "entropy"), [("", -6.0), ("--target_entropy 1", 1.0)])
def test_target_entropy_is_one_nat_for_each_action(line: str, entropy: float) -> None:
    params = params_of(f"--env HalfCheetah-v5 --hidden 8 {line}", horizon=1000)
    path = REPOSITORY / "params.py"
    _, _, agent = rehearse(params, path, path)
    assert agent._target_entropy == entropy
    assert float(agent._log_alpha) == 0.0
