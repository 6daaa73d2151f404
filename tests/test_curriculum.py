"""The curriculum rule, with the documentation's own example."""

from __future__ import annotations

from typing import Any

import pytest

from tfagents_system import curriculum
from tfagents_system.errors import UserError

EXAMPLE = {
    "curriculum": {
        "mass": {"iters": [0, 20000, 30000, 40000, 50000], "range": [0.0, 10.0]},
        "friction": {
            "iters": [50000, 60000, 70000, 90000, 120000],
            "range": [0.1, 0.5],
        },
    }
}


@pytest.mark.parametrize(
    ("iteration", "expected"),
    [
        (0, {"mass": 0.0}),
        (19999, {"mass": 0.0}),
        (20000, {"mass": 2.5}),
        (49999, {"mass": 7.5}),
        (50000, {"mass": 10.0, "friction": 0.1}),
        (60000, {"mass": 10.0, "friction": 0.2}),
        (10**6, {"mass": 10.0, "friction": 0.5}),
    ],
)
def test_values_of_the_documented_example(
    iteration: int, expected: dict[str, float]
) -> None:
    schedules = curriculum.make_schedules(EXAMPLE)
    assert curriculum.values_at(schedules, iteration) == pytest.approx(expected)


def test_iters_are_sorted_and_values_have_the_type_of_the_first() -> None:
    schedules = curriculum.make_schedules(
        {"curriculum": {"steps": {"iters": [20, 0, 10], "range": [1, 4]}}}
    )
    values = [schedules["steps"].value_at(iteration) for iteration in (0, 10, 20)]
    assert values == [1, 2, 4]  # linspace gives 2.5; cast to int as range[0] is.
    assert all(type(value) is int for value in values)


def test_no_curriculum_has_no_values() -> None:
    assert curriculum.values_at(curriculum.make_schedules({}), 5) == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"iters": [0, "b"], "range": [0, 1]}, r"curriculum\.mass\.iters\[1\]"),
        ({"iters": [0, -1], "range": [0, 1]}, r"curriculum\.mass\.iters\[1\]"),
        ({"iters": [], "range": [0, 1]}, r"curriculum\.mass\.iters"),
        ({"iters": [0], "range": [0]}, r"curriculum\.mass\.range"),
        ({"iters": [0]}, r"curriculum\.mass\.range"),
        ({"iters": [0], "range": [0, 1], "rnge": 1}, "rnge"),
        (3, r"curriculum\.mass must be an object"),
    ],
)
def test_bad_spec_is_refused_with_its_path(spec: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        curriculum.make_schedules({"curriculum": {"mass": spec}})
