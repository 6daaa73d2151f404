"""Loading a params file: the user's class, the JSON's overrides, and what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.conftest import PENDULUM_PARAMS, RECURRENT, REPOSITORY, WriteFiles
from tfagents_system.errors import UserError
from tfagents_system.settings import configuration, params_file
from tfagents_system.settings.hyperparameters import Hyperparameters
from tfagents_system.train_params_base import TrainParamsBase

Load = Callable[..., Any]


def test_minitaur_example_has_the_documented_settings() -> None:
    config = configuration.load_config(REPOSITORY / "config" / "minitaur.json")
    params = params_file.load_params(
        REPOSITORY / "tfagents_system" / "minitaur_params.py", config, TrainParamsBase
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
    # Which the params file set, and the JSON did not.
    assert params.critic_joint_fc_layer_params == (16,)


def test_bad_value_in_the_params_file_names_the_file(load: Load) -> None:
    bad = PENDULUM_PARAMS.replace("= 16\n", "= '16'\n")
    with pytest.raises(UserError, match=r"my_params\.py: train_batch_size must be"):
        load(bad)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("x = 1\n", "no class TrainParams"),
        (
            "class TrainParams: pass\n",
            r"derives from tfagents_system\.train_params_base\.TrainParamsBase$",
        ),
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
    with pytest.raises(UserError, match=message) as error:
        load(params)
    assert "\n" not in str(error.value)


def test_a_params_file_that_is_missing_or_no_python_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.txt"
    with pytest.raises(UserError, match=f"^no params file {path}$"):
        params_file.load_class(path, TrainParamsBase)
    path.write_text(PENDULUM_PARAMS)
    with pytest.raises(UserError, match=re.escape("is not a Python file (.py)")):
        params_file.load_class(path, TrainParamsBase)


def test_the_class_must_derive_from_the_base_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "params.py"
    path.write_text(
        "from tfagents_system.settings.hyperparameters import Hyperparameters\n"
        "class TrainParams(Hyperparameters): pass\n"
    )
    loaded = params_file.load_params(path, {"horizon": 7}, Hyperparameters)
    assert loaded.env_config == {"horizon": 7}
    with pytest.raises(UserError, match="TrainParamsBase"):
        params_file.load_params(path, {}, TrainParamsBase)


def test_params_that_read_a_missing_horizon_get_one_line(
    write_files: WriteFiles,
) -> None:
    params, config = write_files(
        PENDULUM_PARAMS.replace("= 16\n", '= env_config["horizon"]\n'), horizon=None
    )
    with pytest.raises(UserError) as error:
        params_file.load_params(
            params, configuration.load_config(config), TrainParamsBase
        )
    assert str(error.value) == (
        f'{params}:10 reads env_config["horizon"], which the JSON does not have; add '
        'e.g. "horizon": 1000 to it'
    )


def test_other_key_errors_are_not_explained_by_a_missing_horizon() -> None:
    path = Path("my_params.py")
    params_file.explain_missing_horizon(KeyError("other"), path, {})
    params_file.explain_missing_horizon(KeyError("horizon"), path, {"horizon": 5})
    with pytest.raises(UserError, match="my_params"):
        params_file.explain_missing_horizon(KeyError("horizon"), path, {})


def test_replay_smaller_than_its_warm_up_is_refused(load: Load) -> None:
    with pytest.raises(UserError, match="would never start"):
        load(train_params={"n_episodes_in_buffer": 5})


def test_n_step_returns_of_recurrent_networks_are_refused(load: Load) -> None:
    with pytest.raises(UserError, match="n_step_returns must be 1 with recurrent"):
        load(train_params={"recurrent": True, "n_step_returns": 2})


def test_recurrent_networks_have_a_layer_on_each_side_of_their_lstm(load: Load) -> None:
    assert load(train_params=RECURRENT).recurrent
    for name in ("actor_fc_layer_params", "critic_joint_fc_layer_params"):
        for wrong in ([8], [8, 4, 2]):
            with pytest.raises(UserError, match=f"{name} must hold two sizes"):
                load(train_params={**RECURRENT, name: wrong})


def test_the_former_setting_of_the_lstm_is_not_swallowed(
    write_files: WriteFiles,
) -> None:
    text = "= (16, 8)\n        self.recurrent = True\n"
    text = PENDULUM_PARAMS.replace("= (16,)\n", text)
    params_path, config_path = write_files(text)
    config = configuration.load_config(config_path)
    assert params_file.load_params(params_path, config, TrainParamsBase).recurrent
    params_path, _ = write_files(
        text.replace("self.recurrent", "self.recurrent_lstm_units = 9; self.recurrent")
    )
    with pytest.raises(UserError, match="recurrent_lstm_units is not a setting"):
        params_file.load_params(params_path, config, TrainParamsBase)


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
    params = params_file.load_params(
        snapshot,
        configuration.load_config(config_path),
        TrainParamsBase,
        params_path.parent,
    )
    assert params.actor_fc_layer_params == (9,)


def test_params_file_may_import_modules_of_the_working_folder(
    write_files: WriteFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "my_module_at_work.py").write_text("LAYERS = (7,)\n")
    monkeypatch.chdir(folder)
    params_path, _ = write_files(
        "import my_module_at_work\n"
        + PENDULUM_PARAMS.replace("(16,)", "my_module_at_work.LAYERS")
    )
    params = params_file.load_params(params_path, {"horizon": 5}, TrainParamsBase)
    assert params.actor_fc_layer_params == (7,)
