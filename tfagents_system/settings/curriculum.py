"""The curriculum of environment parameters: JSON in, values out.

The values in force are a pure function of the iteration, so they are right after a
resume at any iteration. The rule is the archived system's: `range` is divided evenly
over the sorted `iters`, and a value is in force from its iteration on. With the
distribution `uniform` that value is the far end of an interval to draw from.
"""

from __future__ import annotations

import bisect
import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, Protocol, Union

import numpy as np

from tfagents_system.settings.config_schema import parse_curriculum

Value = Union[int, float]

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The curriculum of one environment parameter.

    Attributes:
      iters: Ascending iterations at which the values come into force.
      values: The values, one for each of `iters`; the first is `range[0]`.
      is_uniform: Whether each episode draws its value from between the first value
        and the one in force.
    """

    iters: tuple[int, ...]
    values: tuple[Value, ...]
    is_uniform: bool = False

    def value_at(self, iteration: int) -> Value | None:
        """Returns the value in force, or None before the first of `iters`."""
        reached = bisect.bisect_right(self.iters, iteration)
        return self.values[reached - 1] if reached else None

    def sample(self, value: Value, generator: np.random.Generator) -> Value:
        """Returns what an episode gets while a value is in force.

        Args:
          value: The value in force.
          generator: Used only if the schedule is uniform.

        Returns:
          The value itself, or one drawn uniformly from between `values[0]` and it:
          whole numbers with both ends, other numbers without the larger one.
        """
        if not self.is_uniform:
            return value
        low, high = sorted((self.values[0], value))
        if isinstance(value, int):
            return int(generator.integers(int(low), int(high), endpoint=True))
        return float(generator.uniform(low, high))


def make_schedules(config: Mapping[str, Any]) -> dict[str, Schedule]:
    """Reads the `curriculum` of an environment configuration.

    Args:
      config: The JSON as a dict (see `config_schema`).

    Returns:
      One schedule a parameter; empty without a curriculum. The values have the type
      of `range[0]`.

    Raises:
      UserError: A malformed entry, named by its JSON path.
    """
    schedules = {}
    for name, entry in parse_curriculum(config).items():
        first, last = entry.range
        values = np.linspace(first, last, len(entry.iters)).astype(type(first))
        schedules[name] = Schedule(
            iters=tuple(sorted(entry.iters)),
            values=tuple(values.tolist()),
            is_uniform=entry.distribution == "uniform",
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


class SetsState(Protocol):
    """An environment whose parameters can be set."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Sets parameters by name."""


class Curriculum:
    """Gives an environment its values, before each episode.

    Attributes:
      values: What the environment has, by parameter name.
    """

    def __init__(self, config: Mapping[str, Any], env: SetsState):
        """Reads the curriculum; the environment keeps its constructor's values.

        Args:
          config: As of `make_schedules`.
          env: Gets the values by `set_state`.

        Raises:
          UserError: As `make_schedules`.
        """
        self._schedules = make_schedules(config)
        self._env = env
        self._reached: dict[str, Value] = {}
        self.values: dict[str, Value] = {}

    def apply(self, iteration: int, generator: np.random.Generator) -> bool:
        """Sets what the next episode gets, in one call; nothing if nothing changes.

        Args:
          iteration: The iteration.
          generator: Draws the values of uniform schedules.

        Returns:
          Whether something changed.
        """
        values = sample_values(self._schedules, iteration, generator)
        changed = {
            name: value
            for name, value in values.items()
            if self.values.get(name) != value
        }
        # Drawn values change with each episode: too many lines for a log.
        reached = values_at(self._schedules, iteration)
        if reached != self._reached:
            logger.info("curriculum at iteration %d: %s", iteration, reached)
            self._reached = reached
        if changed:
            self._env.set_state(changed)
            self.values = values
        return bool(changed)


def sample_values(
    schedules: Mapping[str, Schedule], iteration: int, generator: np.random.Generator
) -> dict[str, Value]:
    """Returns what an episode at an iteration gets, by parameter name.

    Args:
      schedules: By parameter name.
      iteration: The iteration.
      generator: Draws the values of uniform schedules.

    Returns:
      As `values_at`, with values drawn where the schedule is uniform.
    """
    return {
        name: schedules[name].sample(value, generator)
        for name, value in values_at(schedules, iteration).items()
    }
