"""The schema of the JSON: what the framework reads in it, in one place.

Errors and docs/configuration.md take their words from the descriptions here. Every
other key at the top level is the user's own.
"""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec

from tfagents_system.errors import UserError

T = TypeVar("T", bound=msgspec.Struct)
# Longer values are cut in an error's line.
SHOWN_CHARACTERS = 60
# Values are divided evenly as doubles: these are the whole numbers they hold exactly.
LARGEST_INT = 2**53
LARGEST_FLOAT = 1e300  # Their difference must be finite, too.

# Aliases rather than `X | Y` in the classes: msgspec evaluates annotations, and
# CPython 3.9 cannot evaluate that.
Number = Annotated[
    Union[
        Annotated[int, msgspec.Meta(ge=-LARGEST_INT, le=LARGEST_INT)],
        Annotated[float, msgspec.Meta(ge=-LARGEST_FLOAT, le=LARGEST_FLOAT)],
    ],
    msgspec.Meta(description="a finite number (a whole one within 2**53)"),
]
Iteration = Annotated[
    int,
    msgspec.Meta(ge=0, le=LARGEST_INT, description="an iteration, 0 or more"),
]
Iterations = Annotated[
    list[Iteration],
    msgspec.Meta(min_length=1, description="a list of iterations, at least one"),
]
Range = Annotated[
    tuple[Number, Number],
    msgspec.Meta(description="[first, last], two numbers"),
]
Distribution = Annotated[
    Union[Literal["uniform"], msgspec.UnsetType],
    msgspec.Meta(description='"uniform", or left out'),
]
Horizon = Annotated[
    Union[Annotated[int, msgspec.Meta(ge=1)], msgspec.UnsetType],
    msgspec.Meta(
        description="a whole number >= 1 (env steps of the longest episode)",
    ),
]
Curriculum = Annotated[
    dict[str, Any],
    msgspec.Meta(description="an object: a schedule for each parameter, by its name"),
]
Overrides = Annotated[
    dict[str, Any],
    msgspec.Meta(description="an object: values for attributes of TrainParams"),
]


class ParameterCurriculum(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The curriculum of one environment parameter."""

    iters: Iterations
    range: Range
    distribution: Distribution = msgspec.UNSET


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What the framework reads in the JSON; further keys are the user's own."""

    horizon: Horizon = msgspec.UNSET
    curriculum: Curriculum = {}
    train_params: Overrides = {}


def describe(hint: Any) -> str:
    """Returns the description in an annotation of this module."""
    return next(
        meta.description
        for meta in getattr(hint, "__metadata__", ())
        if isinstance(meta, msgspec.Meta) and meta.description
    )


def convert(value: Any, kind: type[T], where: str = "") -> T:
    """Checks a value of the JSON and makes it a struct.

    msgspec decides whether a part is valid, each part for itself: so the path of what
    is wrong is known without reading msgspec's messages.

    Args:
      value: The value, as `json.loads` returns it.
      kind: A struct of this module.
      where: JSON path of the value; empty for the whole.

    Returns:
      The struct.

    Raises:
      UserError: It does not fit; names the path, what was expected, and what it got.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where or 'the JSON'} must be an object, got {show(value)}")
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    if kind.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name in fields:
                continue
            close = difflib.get_close_matches(name, fields, n=1)
            hint = (
                f"did you mean {close[0]}?" if close else f"known: {', '.join(fields)}"
            )
            raise UserError(f"{join_path(where, name)} is not known; {hint}")
    for name, field in fields.items():
        path = join_path(where, name)
        if name in value:
            _check_part(value[name], field.type, path)
        elif field.required:
            raise UserError(f"{path} is missing; it must be {describe(field.type)}")
    return msgspec.convert(value, kind)


def _check_part(value: Any, hint: Any, where: str) -> None:
    """Checks one part; names the innermost one that does not fit."""
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError:
        for index, (item, item_hint) in enumerate(_items(value, hint)):
            _check_part(item, item_hint, f"{where}[{index}]")
        raise UserError(
            f"{where} must be {describe(hint)}, got {show(value)}"
        ) from None


def _items(value: Any, hint: Any) -> Iterator[tuple[Any, Any]]:
    """Yields the items of a list with their annotations, as far as there are any."""
    kind = typing.get_args(hint)[0]
    item_hints = typing.get_args(kind)
    if isinstance(value, list) and typing.get_origin(kind) is list:
        yield from ((item, item_hints[0]) for item in value)
    elif isinstance(value, list) and typing.get_origin(kind) is tuple:
        yield from zip(value, item_hints)


def parse_curriculum(config: Mapping[str, Any]) -> dict[str, ParameterCurriculum]:
    """Reads the `curriculum` of a configuration.

    Args:
      config: The JSON as a dict.

    Returns:
      Each parameter's curriculum by its name; empty without a curriculum.

    Raises:
      UserError: A malformed entry, named by its JSON path.
    """
    return {
        name: convert(entry, ParameterCurriculum, join_path("curriculum", name))
        for name, entry in convert(config, Config).curriculum.items()
    }


def join_path(where: str, name: str) -> str:
    """Returns the JSON path of a key, on one line whatever the key is."""
    shown = name if name.isprintable() else json.dumps(name)
    return f"{where}.{shown}" if where else shown


def show(value: Any) -> str:
    """Returns a value as JSON, cut if it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    if len(text) > SHOWN_CHARACTERS:
        return f"{text[:SHOWN_CHARACTERS]}..."
    return text
