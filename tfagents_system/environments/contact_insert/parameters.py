"""What a curriculum may set: attributes of the environment, and keys of the JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable

import msgspec

from tfagents_system.environments.contact_insert.settings import Settings
from tfagents_system.environments.contact_insert.starts import BINS
from tfagents_system.errors import UserError


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


#: Attribute of the environment to what it must be, in words and as a check.
ATTRIBUTES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "noise_level": (
        "a number in [0, 1]",
        lambda value: (
            (_is_whole(value) or isinstance(value, float)) and 0 <= value <= 1
        ),
    ),
    "goalreach_steps": (
        "a whole number >= 1",
        lambda value: _is_whole(value) and value >= 1,
    ),
    "forced_init_idx": (
        "0 (high), 1 (medium), 2 (low) or None",
        lambda value: value is None or (_is_whole(value) and 0 <= value < len(BINS)),
    ),
}
#: Keys of the JSON that shape the observation, which cannot change under an agent.
FIXED = ("robot", "policy_hz", "history_length", "include_actions_in_history")


def check(name: str, value: Any) -> Any:
    """Returns the value of an attribute.

    Raises:
      UserError: It does not fit.
    """
    expected, fits = ATTRIBUTES[name]
    if not fits(value):
        raise UserError(f"{name} must be {expected}, got {value!r}")
    return value


def check_names(names: Iterable[str]) -> None:
    """Checks that keys of the JSON can be set.

    Raises:
      UserError: One is not known or cannot change.
    """
    keys = [field.name for field in msgspec.structs.fields(Settings)]
    settable = [name for name in keys if name not in FIXED]
    for name in names:
        if name in FIXED:
            raise UserError(f"{name} cannot change while there is an agent")
        if name not in settable:
            known = ", ".join([*ATTRIBUTES, *settable])
            raise UserError(f"ContactInsert has no parameter {name}; known: {known}")
