"""The schema of the JSON: what it may hold, in one place.

Errors and docs/configuration.md take their words from the descriptions here. What the
schema does not name, at the top level, is the user's own.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec

from tfagents_system.errors import UserError

T = TypeVar("T")
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


def properties(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Returns the JSON schema of each field of a struct, by its name."""
    schema = msgspec.json.schema(kind)
    fields: dict[str, Any] = schema["$defs"][kind.__name__]["properties"]
    return fields


def convert(value: Any, kind: type[T], where: str = "") -> T:
    """Checks a value of the JSON and makes it a struct.

    Args:
      value: The value, as `json.loads` returns it.
      kind: A struct of this module.
      where: JSON path of the value; empty for the whole.

    Returns:
      The struct.

    Raises:
      UserError: It does not fit; names the path, what was expected, what it got.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UserError(_describe(str(error), value, kind, where)) from error


def parse_curriculum(config: Mapping[str, Any]) -> dict[str, ParameterCurriculum]:
    """Reads the `curriculum` of a configuration.

    Args:
      config: The JSON as a dict.

    Returns:
      Each parameter's curriculum by its name; empty without a curriculum.

    Raises:
      UserError: A malformed entry, named by its JSON path.
    """
    # One by one: msgspec's path of an error does not say which key it was.
    return {
        name: convert(entry, ParameterCurriculum, join_path("curriculum", name))
        for name, entry in convert(config, Config).curriculum.items()
    }


def _describe(message: str, value: Any, kind: Any, where: str) -> str:
    """Puts msgspec's message into the words of the schema.

    Args:
      message: As `Expected ... - at `$.iters[2]``.
      value: What was converted.
      kind: The struct.
      where: JSON path of the value.

    Returns:
      One line: the path, what was expected, what it got.
    """
    message, _, path = message.partition(" - at `$")
    described = properties(kind)
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", message, re.S):
        close = difflib.get_close_matches(match[1], described, n=1)
        hint = (
            f"did you mean {close[0]}?" if close else f"known: {', '.join(described)}"
        )
        return f"{join_path(where, match[1])} is not known; {hint}"
    if match := re.fullmatch(r"Object missing required field `(\w+)`", message):
        expected = described[match[1]]["description"]
        return f"{join_path(where, match[1])} is missing; it must be {expected}"
    if not path:
        return f"{where or 'the JSON'} must be an object, got {show(value)}"
    expected = described
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        if name:
            expected, value, where = expected[name], value[name], join_path(where, name)
        else:
            items = expected.get("prefixItems")
            expected = items[int(index)] if items else expected["items"]
            value, where = value[int(index)], f"{where}[{index}]"
    return f"{where} must be {expected['description']}, got {show(value)}"


def join_path(where: str, name: str) -> str:
    """Returns the JSON path of a key, on one line whatever the key is."""
    shown = name if name.isprintable() else json.dumps(name)
    return f"{where}.{shown}" if where else shown


def show(value: Any) -> str:
    """Returns a value as it stands in the JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    if len(text) > SHOWN_CHARACTERS:
        return f"{text[:SHOWN_CHARACTERS]}..."
    return text
