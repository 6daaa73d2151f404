"""Loads the JSON configuration and checks everything in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfagents_system.errors import UserError
from tfagents_system.host.files import read_json
from tfagents_system.settings import checks, config_schema, hyperparameters


def load_config(path: Path) -> dict[str, Any]:
    """Reads and checks a JSON config.

    Args:
      path: The JSON file: an object as `config_schema.Config` says, with whatever the
        user's environment reads.

    Returns:
      The object.

    Raises:
      UserError: It is missing or malformed, or an entry of it is.
    """
    config = read_json(path, _mark_repeated_key)
    for repeated in _repeated_keys(config, ""):
        raise UserError(f"{path}: {repeated} is given twice; remove one")
    if not isinstance(config, dict):
        raise UserError(f"{path} must hold a JSON object")
    try:
        config_schema.parse_curriculum(config)
        read_overrides(config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return config


def read_overrides(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the hyperparameters that the JSON sets under `train_params`.

    Args:
      config: The JSON as a dict.

    Returns:
      Values by name; JSON arrays are tuples.

    Raises:
      UserError: A name is not a hyperparameter, or a value does not fit it.
    """
    overrides = {}
    for name, value in config.get("train_params", {}).items():
        where = config_schema.join_path("train_params", name)
        if name not in hyperparameters.HINTS:
            close = difflib.get_close_matches(name, hyperparameters.HINTS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"{where} is not an attribute of TrainParams{hint}")
        overrides[name] = tuple(value) if isinstance(value, list) else value
        checks.check_value(where, overrides[name], hyperparameters.HINTS[name])
    return overrides


def merge(
    config: Mapping[str, Any], train_params: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Returns a config in which other `train_params` win over its own."""
    if not train_params:
        return dict(config)
    return {
        **config,
        "train_params": {**config.get("train_params", {}), **train_params},
    }


class _RepeatedKey(dict[str, Any]):
    """An object of the JSON in which a key occurs twice."""

    key: str


def _mark_repeated_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    repeated = None
    for key, value in pairs:
        if key in found:
            repeated = key
        found[key] = value
    if repeated is None:
        return found
    marked = _RepeatedKey(found)
    marked.key = repeated
    return marked


def _repeated_keys(value: Any, where: str) -> Iterator[str]:
    """Yields the JSON path of each key that occurs twice in its object."""
    if isinstance(value, _RepeatedKey):
        yield config_schema.join_path(where, value.key)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _repeated_keys(item, config_schema.join_path(where, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _repeated_keys(item, f"{where}[{index}]")
