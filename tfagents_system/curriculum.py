"""The curriculum of environment parameters: JSON in, values out.

A pure function of the iteration, without state, so that it is right after a resume
at any iteration. The rule is the archived system's: `range` is divided evenly over
the sorted `iters`, and a value is in force from its iteration on.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from tfagents_system.errors import UserError

Value = Union[int, float]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The curriculum of one environment parameter.

    Attributes:
      iters: Ascending iterations at which the values come into force.
      values: The values, one for each of `iters`.
    """

    iters: tuple[int, ...]
    values: tuple[Value, ...]

    def value_at(self, iteration: int) -> Value | None:
        """Returns the value in force, or None before the first of `iters`."""
        reached = bisect.bisect_right(self.iters, iteration)
        return self.values[reached - 1] if reached else None


def _number_list(spec: Mapping[str, Any], key: str, where: str) -> list[Value]:
    numbers = spec.get(key)
    if not isinstance(numbers, list) or not numbers:
        raise UserError(f"{where}.{key} must be a list of numbers, got {numbers!r}")
    for index, number in enumerate(numbers):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise UserError(f"{where}.{key}[{index}] must be a number, got {number!r}")
    return numbers


def make_schedules(config: Mapping[str, Any]) -> dict[str, Schedule]:
    """Reads the `curriculum` of an environment configuration.

    Args:
      config: The JSON as a dict; `curriculum`, if present, maps a parameter's name
        to `{"iters": [iteration, ...], "range": [first_value, last_value]}`.

    Returns:
      One schedule a parameter; empty without a curriculum. The values have the type
      of `range[0]`.

    Raises:
      UserError: A malformed entry, named by its JSON path.
    """
    curriculum = config.get("curriculum", {})
    if not isinstance(curriculum, dict):
        raise UserError(f"curriculum must be an object, got {curriculum!r}")
    schedules = {}
    for name, spec in curriculum.items():
        where = f"curriculum.{name}"
        if not isinstance(spec, dict):
            raise UserError(f"{where} must be an object, got {spec!r}")
        unknown = sorted(set(spec) - {"iters", "range"})
        if unknown:
            raise UserError(f"{where} has unknown keys {unknown}; known: iters, range")
        iters = _number_list(spec, "iters", where)
        for index, iteration in enumerate(iters):
            if not isinstance(iteration, int) or iteration < 0:
                raise UserError(
                    f"{where}.iters[{index}] must be an iteration, 0 or more, "
                    f"got {iteration!r}"
                )
        value_range = _number_list(spec, "range", where)
        if len(value_range) != 2:
            raise UserError(f"{where}.range must be [first, last], got {value_range}")
        kind = type(value_range[0])
        values = np.linspace(value_range[0], value_range[1], len(iters)).astype(kind)
        schedules[name] = Schedule(
            iters=tuple(sorted(int(iteration) for iteration in iters)),
            values=tuple(values.tolist()),
        )
    return schedules


def values_at(schedules: Mapping[str, Schedule], iteration: int) -> dict[str, Value]:
    """Returns the values in force at an iteration, by parameter name.

    Parameters whose curriculum has not started are absent: there the constructor's
    value rules.
    """
    values = {}
    for name, schedule in schedules.items():
        value = schedule.value_at(iteration)
        if value is not None:
            values[name] = value
    return values
