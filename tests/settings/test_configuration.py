"""Loading the JSON: what is wrong in it is one line for people."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.errors import UserError
from tfagents_system.settings import configuration


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


def test_a_config_that_is_missing_or_no_text_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(UserError, match=f"cannot read {path}: No such file"):
        configuration.load_config(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=f"{path} is not valid JSON: 'utf-8'"):
        configuration.load_config(path)


def test_what_the_schema_does_not_name_is_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"robot": {"mass": [1, 2.0, NaN]}, "Horizon": null, "": true}')
    config = configuration.load_config(path)
    assert type(config) is type(config["robot"]) is dict
    assert repr(config) == (
        "{'robot': {'mass': [1, 2.0, nan]}, 'Horizon': None, '': True}"
    )


def test_arrays_of_train_params_are_tuples() -> None:
    given = {"actor_fc_layer_params": [8, 4], "discount": 0.5, "target_entropy": None}
    assert configuration.read_overrides({"train_params": given}) == {
        **given,
        "actor_fc_layer_params": (8, 4),
    }
    assert configuration.read_overrides({}) == {}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("discont", 0.9, "did you mean discount"),
        ("env_config", {}, "not an attribute"),
        ("execution", {}, "not an attribute"),
        ("total_train_steps", 5, "not an attribute"),
        ("discount", "high", "must be of type float"),
        ("discount", 1.5, "in \\(0, 1\\]"),
        ("discount", math.nan, "must be of type float"),
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
    tmp_path: Path, name: str, value: Any, message: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"train_params": {name: value}}))
    with pytest.raises(UserError, match=message) as error:
        configuration.load_config(path)
    assert str(error.value).startswith(f"{path}: train_params.{name} ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "config").glob("*.json")), ids=lambda path: path.name
)
def test_the_projects_own_configs_load(path: Path) -> None:
    assert configuration.load_config(path)
