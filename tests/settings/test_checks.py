"""Checks of single values, and the words in which they refuse one."""

from __future__ import annotations

import math
from typing import Annotated, Any, Optional

import pytest

from tfagents_system.errors import UserError
from tfagents_system.settings import checks

Sizes = Annotated[tuple[int, ...], checks.LAYER_SIZES]
Rate = Annotated[float, checks.POSITIVE]
MaybeRate = Annotated[Optional[float], checks.POSITIVE]
Count = Annotated[int, checks.NOT_NEGATIVE]
Discount = Annotated[float, checks.FRACTION]
Color = Annotated[str, checks.one_of("red", "green")]
Layer = Annotated[Any, checks.KERAS_LAYER]
Layers = Annotated[Any, checks.KERAS_LAYERS]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (0.1, Rate),
        (1, Rate),
        (None, MaybeRate),
        (0, Count),
        (1, Discount),
        ("red", Color),
        ((), Sizes),
        ([8, 4], Sizes),
        (print, Layer),
        (None, Layers),
        (print, Layers),
        ({"camera": print, "joints": (print, [print])}, Layers),
        (-1.0, float),
        (False, bool),
    ],
)
def test_a_good_value_passes(value: Any, hint: Any) -> None:
    checks.check_value("x", value, hint)


@pytest.mark.parametrize(
    ("value", "hint", "line"),
    [
        (0, Rate, "x must be greater than 0, got 0"),
        ("1", Rate, "x must be of type float, got '1'"),
        (math.nan, Rate, "x must be of type float, got nan"),
        (-math.inf, Rate, "x must be of type float, got -inf"),
        (True, Rate, "x must be of type float, got True"),
        (None, Rate, "x must be of type float, got None"),
        (-2.0, MaybeRate, "x must be greater than 0, got -2.0"),
        ("1", MaybeRate, "x must be of type Optional[float], got '1'"),
        (-1, Count, "x must be 0 or more, got -1"),
        (2.0, Count, "x must be of type int, got 2.0"),
        (True, Count, "x must be of type int, got True"),
        (0, Discount, "x must be in (0, 1], got 0"),
        (1.01, Discount, "x must be in (0, 1], got 1.01"),
        ("blue", Color, "x must be one of red, green, got 'blue'"),
        ((8, 0), Sizes, "x must hold layer sizes greater than 0, got (8, 0)"),
        ((8, "4"), Sizes, "x must be of type tuple[int, ...], got (8, '4')"),
        (8, Sizes, "x must be of type tuple[int, ...], got 8"),
        (1, bool, "x must be of type bool, got 1"),
        ("conv", Layer, "x must be a Keras layer, got 'conv'"),
        (
            {"camera": print, "joints": "dense"},
            Layers,
            "x must be a Keras layer, or a nest of them like the observation, got "
            f"{{'camera': {print!r}, 'joints': 'dense'}}",
        ),
        (
            (),
            Layers,
            "x must be a Keras layer, or a nest of them like the observation, got ()",
        ),
    ],
)
def test_a_bad_value_is_refused_in_one_line(value: Any, hint: Any, line: str) -> None:
    with pytest.raises(UserError) as error:
        checks.check_value("x", value, hint)
    assert str(error.value) == line


def test_the_check_in_an_annotation_is_found() -> None:
    assert checks.find_check(Rate) is checks.POSITIVE
    assert checks.find_check(MaybeRate) is checks.POSITIVE
    assert checks.find_check(Annotated[int, "a note", checks.FRACTION]) is (
        checks.FRACTION
    )
    assert checks.find_check(Annotated[int, "a note"]) is None
    assert checks.find_check(int) is None


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (Rate, "float"),
        (MaybeRate, "Optional[float]"),
        (Sizes, "tuple[int, ...]"),
        (Layers, "Any"),
    ],
)
def test_types_are_written_as_a_user_would(hint: Any, text: str) -> None:
    assert checks.describe_type(hint) == text
