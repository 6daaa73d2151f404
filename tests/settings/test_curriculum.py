"""The curriculum rule, with the documentation's own example."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

from tfagents_system.errors import UserError
from tfagents_system.settings import curriculum

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


def archived_rule(
    iters: list[int], values: list[float], num_iterations: int
) -> list[float | None]:
    """Runs the archived documentation's pseudo-code; returns each iteration's value."""
    left, value, in_force = deque(zip(iters, values)), None, []
    for iteration in range(num_iterations):
        while left and iteration >= left[0][0]:
            value = left.popleft()[1]
        in_force.append(value)
    return in_force


def test_values_are_those_of_the_archived_pseudo_code_at_every_iteration() -> None:
    schedules = curriculum.make_schedules(
        {"curriculum": {"mass": {"iters": [7, 7, 12, 30], "range": [5.0, 1.0]}}}
    )
    values = np.linspace(5.0, 1.0, 4).tolist()
    # Any order: a resume at any iteration finds what was in force.
    at = {i: schedules["mass"].value_at(i) for i in reversed(range(40))}
    assert [at[i] for i in range(40)] == archived_rule([7, 7, 12, 30], values, 40)


def make_uniform(*value_range: float) -> dict[str, curriculum.Schedule]:
    """Returns the schedule of one parameter that starts at iteration 10."""
    entry = {"iters": [10, 20, 30], "range": value_range, "distribution": "uniform"}
    return curriculum.make_schedules({"curriculum": {"mass": entry}})


@pytest.mark.parametrize("value_range", [(1.0, 3.0), (3.0, 1.0), (-1.0, 0)])
def test_uniform_values_lie_between_the_first_and_the_one_reached(
    value_range: tuple[float, float],
) -> None:
    schedules = make_uniform(*value_range)
    generator = np.random.default_rng(0)
    assert curriculum.sample_values(schedules, 9, generator) == {}
    first = value_range[0]
    for iteration, share in ((10, 0.0), (20, 0.5), (29, 0.5), (30, 1.0), (99, 1.0)):
        reached = first + share * (value_range[1] - first)
        drawn = [
            curriculum.sample_values(schedules, iteration, generator)["mass"]
            for _ in range(2000)
        ]
        low, high = sorted((first, reached))
        assert all(type(value) is float and low <= value <= high for value in drawn)
        assert np.mean(drawn) == pytest.approx((low + high) / 2, abs=0.06)
        assert np.ptp(drawn) == pytest.approx(high - low, rel=0.01)


def test_uniform_whole_numbers_stay_whole_and_reach_both_ends() -> None:
    schedules = make_uniform(2, 6)
    generator = np.random.default_rng(0)
    drawn = [
        curriculum.sample_values(schedules, 20, generator)["mass"] for _ in range(200)
    ]
    assert set(drawn) == {2, 3, 4}
    assert all(type(value) is int for value in drawn)


def test_only_uniform_parameters_are_drawn() -> None:
    generator = np.random.default_rng(0)
    untouched = np.random.default_rng(0)
    schedules = curriculum.make_schedules(EXAMPLE)
    for iteration in (0, 20000, 50000):
        assert curriculum.sample_values(
            schedules, iteration, generator
        ) == curriculum.values_at(schedules, iteration)
    # So that a seed's exploration is the same with and without such a curriculum.
    assert generator.random() == untouched.random()


class Recorder:
    """An environment that keeps what was set in it."""

    def __init__(self) -> None:
        self.set: list[dict[str, Any]] = []

    def set_state(self, state: dict[str, Any]) -> None:
        self.set.append(state)


def test_what_changes_is_set_in_one_call_before_an_episode(
    caplog: pytest.LogCaptureFixture,
) -> None:
    env, generator = Recorder(), np.random.default_rng(0)
    values = curriculum.Curriculum(EXAMPLE, env)
    with caplog.at_level("INFO"):
        assert values.apply(0, generator)
        assert not values.apply(19999, generator)
        assert values.apply(50000, generator)
        assert values.apply(60000, generator)
    # A parameter that stays is not set again.
    assert env.set == [
        {"mass": 0.0},
        {"mass": 10.0, "friction": pytest.approx(0.1)},
        {"friction": pytest.approx(0.2)},
    ]
    assert values.values == {"mass": 10.0, "friction": pytest.approx(0.2)}
    assert len(caplog.records) == 3
    assert caplog.records[0].getMessage() == "curriculum at iteration 0: {'mass': 0.0}"


def test_drawn_values_are_set_before_each_episode_but_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    env, generator = Recorder(), np.random.default_rng(0)
    entry = {"iters": [10, 20, 30], "range": [1.0, 3.0], "distribution": "uniform"}
    values = curriculum.Curriculum({"curriculum": {"mass": entry}}, env)
    with caplog.at_level("INFO"):
        assert not values.apply(9, generator)
        assert values.values == {}
        for _ in range(5):
            assert values.apply(20, generator)
    assert len({state["mass"] for state in env.set}) == 5
    assert values.values == env.set[-1]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"iters": [0, "b"]}, r"^curriculum\.mass\.iters\[1\] must be an iteration"),
        ({"iters": [0]}, r"^curriculum\.mass\.range is missing"),
        (3, r"^curriculum\.mass must be an object, got 3"),
    ],
)
def test_a_malformed_entry_is_refused_with_its_path(entry: Any, message: str) -> None:
    config = {"curriculum": {"mass": entry}}
    with pytest.raises(UserError, match=message):
        curriculum.make_schedules(config)
    with pytest.raises(UserError, match=message):
        curriculum.Curriculum(config, Recorder())
