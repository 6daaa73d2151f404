"""The hyperparameters: each is described, has a default, and is checked."""

from __future__ import annotations

import ast
import inspect
import typing
from typing import Any, Callable

import pytest

from tests.conftest import PENDULUM_PARAMS
from tfagents_system.errors import UserError
from tfagents_system.settings import checks, hyperparameters
from tfagents_system.settings.hyperparameters import HINTS, Hyperparameters
from tfagents_system.train_params_base import TrainParamsBase

Load = Callable[..., Any]

# Numbers that may be anything finite: a logarithm, and an entropy in nats.
UNLIMITED = {"sac_log_alpha", "target_entropy"}
# A value of the right type that each check refuses.
REFUSED = {
    checks.POSITIVE: 0,
    checks.NOT_NEGATIVE: -1,
    checks.FRACTION: 0,
    checks.LAYER_SIZES: (8, 0),
    checks.KERAS_LAYER: "dense",
    checks.KERAS_LAYERS: {"camera": "conv"},
    hyperparameters.LEARNING_RATE_SCHEDULE: "exponential",
    hyperparameters.ACTIVATION: "rleu",
    hyperparameters.CRITIC_LOSS: "cosh",
}


def test_defaults_are_the_archived_systems(load: Load) -> None:
    params = load(
        """
        from tfagents_system.train_params_base import TrainParamsBase
        class TrainParams(TrainParamsBase):
            def env_ctor(self, seed=None, *args, **kwargs):
                raise NotImplementedError
        """
    )
    assert params.discount == 0.99
    assert params.critic_learning_rate == params.actor_learning_rate == 3e-4
    assert params.alpha_learning_rate == 3e-4
    assert params.target_update_tau == 0.005
    assert params.target_update_period == 1
    assert params.gradient_clipping is None
    assert params.sac_log_alpha == 1.0
    assert params.actor_fc_layer_params == (256, 256)
    assert params.critic_joint_fc_layer_params == (256, 256)
    assert params.preprocessing_combiner is None
    assert params.preprocessing_layers is None
    assert params.activation == "relu"
    assert params.learning_rate_schedule == "constant"
    assert params.normalize_observations is False
    assert params.recurrent is False
    assert params.recurrent_sequence_length == 20
    assert (params.num_iter, params.num_steps_per_iter) == (1000, 50)
    assert params.n_train_episodes_per_iter == 1
    assert (params.n_episodes_in_buffer, params.n_buffer_init_episodes) == (350, 30)
    assert params.seed_sac_buffer is True
    assert (params.train_batch_size, params.prefetch_batches) == (256, 3)
    assert (params.n_eval_episodes, params.eval_period_itrs) == (5, 250)
    assert (params.log_period_itrs, params.checkpoint_period_itrs) == (10, 250)
    assert params.env_config == {"horizon": 200}


def test_number_of_workers_comes_from_the_environment(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAC_NUM_COLLECT_WORKERS", "7")
    assert load().compute_config["n_parallel_workers"] == 7
    for without_number in ("auto", ""):
        monkeypatch.setenv("SAC_NUM_COLLECT_WORKERS", without_number)
        assert load().compute_config["n_parallel_workers"] == 1


def described() -> set[str]:
    """Returns the attributes that have `#:` lines right above them."""
    lines = inspect.getsource(Hyperparameters).splitlines()
    (parsed,) = ast.parse("\n".join(lines)).body
    assert isinstance(parsed, ast.ClassDef)
    return {
        statement.target.id
        for statement in parsed.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and lines[statement.lineno - 2].lstrip().startswith("#: ")
    }


def test_each_is_described_and_has_a_default() -> None:
    assert len(HINTS) > 30
    assert described() == set(HINTS)
    # And a subclass of users adds none: they could not be set in the JSON.
    assert set(typing.get_type_hints(TrainParamsBase)) <= set(HINTS)


@pytest.mark.parametrize("name", HINTS)
def test_each_default_passes_its_own_check(name: str) -> None:
    checks.check_value(name, getattr(Hyperparameters, name), HINTS[name])


def test_each_number_is_checked() -> None:
    unchecked = {name for name, hint in HINTS.items() if not checks.find_check(hint)}
    kinds = {name: typing.get_type_hints(Hyperparameters)[name] for name in unchecked}
    assert {name for name, kind in kinds.items() if kind is not bool} == UNLIMITED


@pytest.mark.parametrize(
    "name", [name for name, hint in HINTS.items() if checks.find_check(hint)]
)
def test_a_value_that_fails_its_check_is_refused_by_name(load: Load, name: str) -> None:
    check = checks.find_check(HINTS[name])
    assert check is not None
    last_line = "        self.critic_joint_fc_layer_params = (16,)\n"
    assignment = f"        self.{name} = {REFUSED[check]!r}\n"
    with pytest.raises(UserError) as error:
        load(PENDULUM_PARAMS.replace(last_line, last_line + assignment))
    assert f"my_params.py: {name} {check.requirement}, got " in str(error.value)
    with pytest.raises(UserError) as error:
        load(train_params={name: REFUSED[check]})
    assert f"train_params.{name} {check.requirement}, got " in str(error.value)


def test_activations_are_the_names_of_keras() -> None:
    import tensorflow as tf

    named = hyperparameters.ACTIVATION.requirement.removeprefix("must be one of ")
    for name in named.split(", "):
        assert callable(tf.keras.activations.get(name))
        assert hyperparameters.ACTIVATION.is_valid(name)


def test_steps_and_iterations_of_a_training() -> None:
    params = Hyperparameters({"horizon": 5})
    params.num_iter, params.num_steps_per_iter = 20, 50
    assert params.total_train_steps == 1000
    assert [params.iteration_at(step) for step in (0, 49, 50, 999, 1000)] == [
        0,
        0,
        1,
        19,
        20,
    ]


def test_one_shard_and_tensorflows_own_noise_unless_the_framework_says_more() -> None:
    params = Hyperparameters({})
    assert params.execution == hyperparameters.Execution()
    assert params.execution.num_batch_shards == 1
    assert params.execution.noise_seed is None
