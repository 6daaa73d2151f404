"""Checks of single values, and how to word what a value must fulfil."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any, Callable

from tfagents_system.errors import UserError


@dataclasses.dataclass(frozen=True)
class Check:
    """A requirement on a value beyond its type.

    It is part of the annotation: `discount: Annotated[float, FRACTION]`. None, if the
    type allows it, is not checked.

    Attributes:
      is_valid: Returns whether a value meets the requirement.
      requirement: The end of a sentence, e.g. `must be greater than 0`.
    """

    is_valid: Callable[[Any], bool]
    requirement: str


POSITIVE = Check(lambda value: value > 0, "must be greater than 0")
NOT_NEGATIVE = Check(lambda value: value >= 0, "must be 0 or more")
FRACTION = Check(lambda value: 0 < value <= 1, "must be in (0, 1]")
LAYER_SIZES = Check(
    lambda value: all(units > 0 for units in value),
    "must hold layer sizes greater than 0",
)
KERAS_LAYER = Check(callable, "must be a Keras layer")


def one_of(*names: str) -> Check:
    """Returns the check that a value is one of some names."""
    return Check(lambda value: value in names, f"must be one of {', '.join(names)}")


def _are_layers(nest: Any) -> bool:
    """Returns whether every leaf can be called, as a Keras layer can."""
    if isinstance(nest, (dict, list, tuple)):
        values = nest.values() if isinstance(nest, dict) else nest
        return bool(nest) and all(map(_are_layers, values))
    return callable(nest)


KERAS_LAYERS = Check(
    _are_layers, "must be a Keras layer, or a nest of them like the observation"
)


def find_check(hint: Any) -> Check | None:
    """Returns the check in an annotation, if there is one."""
    metadata = getattr(hint, "__metadata__", ())
    return next((item for item in metadata if isinstance(item, Check)), None)


def describe_type(hint: Any) -> str:
    """Returns the type of an annotation as a user would write it."""
    kind = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    name = getattr(kind, "__name__", "") if isinstance(kind, type) else ""
    return name if name and "[" not in str(kind) else str(kind).replace("typing.", "")


def check_value(where: str, value: Any, hint: Any) -> None:
    """Checks a value against an annotation.

    Args:
      where: What the value is called in the message.
      value: The value.
      hint: Its type, or `Annotated` with a `Check`.

    Raises:
      UserError: The value is of another type, or fails the check.
    """
    if not _has_type(value, hint):
        raise UserError(f"{where} must be of type {describe_type(hint)}, got {value!r}")
    check = find_check(hint)
    if value is not None and check is not None and not check.is_valid(value):
        raise UserError(f"{where} {check.requirement}, got {value!r}")


def _has_type(value: Any, kind: Any) -> bool:
    if hasattr(kind, "__metadata__"):
        return _has_type(value, typing.get_args(kind)[0])
    if kind is Any:
        return True
    if typing.get_origin(kind) is typing.Union:
        return any(_has_type(value, part) for part in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return isinstance(value, (tuple, list)) and all(
            _has_type(item, int) for item in value
        )
    if kind is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)
