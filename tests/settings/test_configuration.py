"""Loading params and config: overrides, types, and errors for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from tests.conftest import PENDULUM_PARAMS, REPOSITORY, WriteFiles
from tfagents_system.errors import UserError
from tfagents_system.settings import configuration

Load = Callable[..., Any]


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


def test_minitaur_example_has_the_documented_settings() -> None:
    config = configuration.load_config(REPOSITORY / "config" / "minitaur.json")
    params = configuration.load_params(
        REPOSITORY / "tfagents_system" / "minitaur_params.py", config
    )
    assert config["horizon"] == 1000
    assert (params.num_iter, params.num_steps_per_iter) == (1000, 500)
    assert params.n_train_episodes_per_iter == 1
    assert (params.n_buffer_init_episodes, params.n_episodes_in_buffer) == (10, 350)
    assert params.train_batch_size == 256
    assert params.log_period_itrs == params.checkpoint_period_itrs == 5
    assert params.eval_period_itrs == 5


def test_json_overrides_attributes_by_name(load: Load) -> None:
    overrides = {
        "discount": 0.5,
        "num_iter": 3,
        "gradient_clipping": 1,
        "actor_fc_layer_params": [8, 4],
    }
    params = load(train_params=overrides)
    assert (params.discount, params.num_iter) == (0.5, 3)
    assert params.gradient_clipping == 1
    assert params.actor_fc_layer_params == (8, 4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("discont", 0.9, "did you mean discount"),
        ("env_config", {}, "not an attribute"),
        ("discount", "high", "must be of type float"),
        ("discount", 1.5, "in \\(0, 1\\]"),
        ("discount", float("nan"), "must be of type float"),
        ("num_iter", 2.5, "must be of type int"),
        ("num_iter", True, "must be of type int"),
        ("num_iter", 0, "greater than 0"),
        ("eval_period_itrs", -1, "0 or more"),
        ("actor_fc_layer_params", [8, "x"], "must be of type"),
        ("actor_fc_layer_params", [0], "greater than 0"),
        ("seed_sac_buffer", 1, "must be of type bool"),
        ("n_step_returns", 0, "greater than 0"),
        ("gradient_clipping", -1.0, "greater than 0"),
        ("learning_rate_schedule", "exponential", "one of constant, linear, cosine"),
        ("activation", "rleu", "must be one of elu, .*relu"),
        ("normalize_observations", 1, "must be of type bool"),
        ("preprocessing_layers", {"obs": "conv"}, "must be a Keras layer, or a nest"),
        ("preprocessing_layers", [], "must be a Keras layer, or a nest"),
        ("preprocessing_combiner", "concat", "must be a Keras layer"),
    ],
)
def test_bad_override_is_one_clear_line(
    load: Load, name: str, value: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        load(train_params={name: value})
    assert f"train_params.{name}" in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_value_in_the_params_file_names_the_file(load: Load) -> None:
    bad = PENDULUM_PARAMS.replace("= 16\n", "= '16'\n")
    with pytest.raises(UserError, match=r"my_params\.py: train_batch_size must be"):
        load(bad)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("x = 1\n", "no class TrainParams"),
        ("class TrainParams: pass\n", "derives from"),
        ("import not_there\n", r"my_params\.py:1: ModuleNotFoundError"),
        ("x = (\n", r"my_params\.py:1: SyntaxError"),
        (
            "from tfagents_system.train_params_base import TrainParamsBase\n"
            "class TrainParams(TrainParamsBase): pass\n",
            "must define env_ctor",
        ),
        (
            "from tfagents_system.train_params_base import TrainParamsBase\n"
            "class TrainParams(TrainParamsBase):\n"
            "    def __init__(self, c): pass\n"
            "    def env_ctor(self, seed=None): pass\n",
            "super",
        ),
        (
            "from tfagents_system.train_params_base import TrainParamsBase\n"
            "class TrainParams(TrainParamsBase):\n"
            "    def __init__(self, c): self.x = c['missing']\n"
            "    def env_ctor(self, seed=None): pass\n",
            r"my_params\.py:3: KeyError",
        ),
    ],
)
def test_bad_params_file_is_one_clear_line(
    load: Load, params: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(params)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"horizon": 5} // mine', "not valid JSON"),
        ("[]", "must hold a JSON object"),
        ('{"horizon": 0}', "horizon must be a whole number >= 1 .*, got 0"),
        ('{"horizon": true}', "horizon must be .*, got true"),
        ('{"horizon": 5.0}', r"horizon must be .*, got 5\.0"),
        ('{"horizon": NaN}', "horizon must be .*, got NaN"),
        ('{"horizon": null}', "horizon must be .*, got null"),
        ('{"train_params": 3}', "train_params must be an object.*, got 3"),
        ('{"train_params": {"discont": 1}}', "train_params.discont .* mean discount"),
        ('{"train_params": {"num_iter": true}}', "train_params.num_iter must be"),
        ('{"curriculum": []}', r"curriculum must be an object.*, got \[\]"),
        ('{"curriculum": {"a": 1}}', r"curriculum\.a must be an object, got 1"),
        ('{"horizon": 5, "horizon": 5}', "horizon is given twice"),
        ('{"mine": [{"a": {"b": 1, "b": 2}}]}', r"mine\[0\]\.a\.b is given twice"),
        ('{"a\\nb": 1, "a\\nb": 1}', r'"a\\nb" is given twice'),
    ],
)
def test_bad_config_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        configuration.load_config(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_the_schema_does_not_name_is_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"robot": {"mass": [1, 2.0, NaN]}, "Horizon": null, "": true}')
    config = configuration.load_config(path)
    assert type(config) is type(config["robot"]) is dict
    assert repr(config) == (
        "{'robot': {'mass': [1, 2.0, nan]}, 'Horizon': None, '': True}"
    )


def test_params_that_read_a_missing_horizon_get_one_line(
    write_files: WriteFiles,
) -> None:
    params, config = write_files(
        PENDULUM_PARAMS.replace("= 16\n", '= env_config["horizon"]\n'), horizon=None
    )
    with pytest.raises(UserError) as error:
        configuration.load_params(params, configuration.load_config(config))
    assert str(error.value) == (
        f'{params}:10 reads env_config["horizon"], which the JSON does not have; add '
        'e.g. "horizon": 1000 to it'
    )


def test_replay_smaller_than_its_warm_up_is_refused(load: Load) -> None:
    with pytest.raises(UserError, match="would never start"):
        load(train_params={"n_episodes_in_buffer": 5})


def test_params_file_may_import_its_neighbours(
    write_files: WriteFiles, tmp_path: Path
) -> None:
    (tmp_path / "my_neighbour.py").write_text("LAYERS = (9,)\n")
    params_path, config_path = write_files(
        "import my_neighbour\n"
        + PENDULUM_PARAMS.replace("(16,)", "my_neighbour.LAYERS")
    )
    snapshot = tmp_path / "elsewhere" / "params.py"
    snapshot.parent.mkdir()
    snapshot.write_text(params_path.read_text())
    params = configuration.load_params(
        snapshot, configuration.load_config(config_path), params_path.parent
    )
    assert params.actor_fc_layer_params == (9,)


def test_hooks_get_only_the_arguments_they_take() -> None:
    def plain() -> str:
        return "plain"

    def some(id: int) -> int:
        return id

    def many(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return kwargs

    assert configuration.call_hook(plain, id=1, collect_env=2) == "plain"
    assert configuration.call_hook(some, id=1, collect_env=2) == 1
    assert configuration.call_hook(many, id=1, collect_env=2) == {
        "id": 1,
        "collect_env": 2,
    }
