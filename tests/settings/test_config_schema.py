"""The schema of the JSON: what is wrong is named by its path, in the schema's words."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from tfagents_system.errors import UserError
from tfagents_system.settings import config_schema

ITERATION = "an iteration, 0 or more"
ITERATIONS = "a list of iterations, at least one"
NUMBER = "a finite number (a whole one within 2**53)"
RANGE = "[first, last], two numbers"
DISTRIBUTION = '"uniform", or left out'
HORIZON = "a whole number >= 1 (env steps of the longest episode)"
CURRICULUM = "an object: a schedule for each parameter, by its name"
OVERRIDES = "an object: values for attributes of TrainParams"


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ({"iters": [0, "b"]}, f'iters[1] must be {ITERATION}, got "b"'),
        ({"iters": [0, -1]}, f"iters[1] must be {ITERATION}, got -1"),
        ({"iters": [0, 1.0]}, f"iters[1] must be {ITERATION}, got 1.0"),
        ({"iters": [True]}, f"iters[0] must be {ITERATION}, got true"),
        ({"iters": [2**53 + 1]}, f"iters[0] must be {ITERATION}, got 9007199254740993"),
        ({"iters": []}, f"iters must be {ITERATIONS}, got []"),
        ({"iters": 3}, f"iters must be {ITERATIONS}, got 3"),
        ({"range": [0]}, f"range must be {RANGE}, got [0]"),
        ({"range": [0, 1, 2]}, f"range must be {RANGE}, got [0, 1, 2]"),
        ({"range": [0, "x"]}, f'range[1] must be {NUMBER}, got "x"'),
        ({"range": [False, 1]}, f"range[0] must be {NUMBER}, got false"),
        ({"range": [math.nan, 1]}, f"range[0] must be {NUMBER}, got NaN"),
        ({"range": [1, -math.inf]}, f"range[1] must be {NUMBER}, got -Infinity"),
        ({"range": [1, 1e301]}, f"range[1] must be {NUMBER}, got 1e+301"),
        ({"range": [2**60, 1]}, f"range[0] must be {NUMBER}, got 1152921504606846976"),
        ({"rnge": 1}, "rnge is not known; did you mean range?"),
        ({"x": 1}, "x is not known; known: iters, range, distribution"),
        ({"a\nb": 1}, '"a\\nb" is not known; known: iters, range, distribution'),
        (
            {"distribution": "normal"},
            f'distribution must be {DISTRIBUTION}, got "normal"',
        ),
        ({"distribution": None}, f"distribution must be {DISTRIBUTION}, got null"),
    ],
)
def test_a_bad_curriculum_is_refused_with_its_path(
    spec: dict[str, Any], line: str
) -> None:
    config = {"curriculum": {"mass": {"iters": [0], "range": [0, 1], **spec}}}
    with pytest.raises(UserError) as error:
        config_schema.parse_curriculum(config)
    assert str(error.value) == f"curriculum.mass.{line}"


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (
            {"curriculum": {"mass": {"iters": [0]}}},
            f"curriculum.mass.range is missing; it must be {RANGE}",
        ),
        ({"curriculum": {"mass": 3}}, "curriculum.mass must be an object, got 3"),
        ({"curriculum": {"a\nb": 3}}, 'curriculum."a\\nb" must be an object, got 3'),
        ({"curriculum": []}, f"curriculum must be {CURRICULUM}, got []"),
        ({"train_params": 3}, f"train_params must be {OVERRIDES}, got 3"),
        ({"horizon": 0}, f"horizon must be {HORIZON}, got 0"),
        ({"horizon": True}, f"horizon must be {HORIZON}, got true"),
        ({"horizon": 5.0}, f"horizon must be {HORIZON}, got 5.0"),
        ({"horizon": math.nan}, f"horizon must be {HORIZON}, got NaN"),
        ({"horizon": None}, f"horizon must be {HORIZON}, got null"),
    ],
)
def test_a_bad_key_of_the_framework_is_refused_with_its_path(
    config: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError) as error:
        config_schema.parse_curriculum(config)
    assert str(error.value) == line


@pytest.mark.parametrize("value", [[], 3, None, "x"])
def test_the_json_itself_must_be_an_object(value: Any) -> None:
    with pytest.raises(UserError) as error:
        config_schema.convert(value, config_schema.Config)
    assert str(error.value).startswith("the JSON must be an object, got ")


def test_other_keys_at_the_top_are_the_users_own() -> None:
    given = {"horizon": 5, "Horizon": None, "robot": {"mass": math.nan}, "": True}
    assert config_schema.convert(given, config_schema.Config) == config_schema.Config(
        horizon=5
    )


def test_a_curriculum_is_read_with_the_types_of_its_numbers() -> None:
    entry = {"iters": [0, 2**53], "range": [1, 2.5], "distribution": "uniform"}
    (parsed,) = config_schema.parse_curriculum({"curriculum": {"mass": entry}}).values()
    assert parsed == config_schema.ParameterCurriculum(
        iters=[0, 2**53], range=(1, 2.5), distribution="uniform"
    )
    assert [type(number) for number in parsed.range] == [int, float]
    assert config_schema.parse_curriculum({}) == {}


@pytest.mark.parametrize(
    "kind", [config_schema.Config, config_schema.ParameterCurriculum]
)
def test_every_key_has_a_description(kind: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(kind):
        assert config_schema.describe(field.type)


def test_a_long_value_is_cut_in_the_line() -> None:
    shown = config_schema.show(["x" * 1000])
    assert shown == '["' + 58 * "x" + "..."
    assert config_schema.show([None, True, "ä", math.inf]) == (
        '[null, true, "ä", Infinity]'
    )
