"""Loads a params file and a JSON config, and checks everything in them.

Imports no TensorFlow itself; the user's params file may.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import math
import sys
import traceback
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import read_json
from tfagents_system.settings import config_schema
from tfagents_system.train_params_base import CHECKS, TrainParamsBase

# Names of attributes that have a default in the base class, with their types.
ATTRIBUTE_TYPES = {
    name: kind
    for name, kind in typing.get_type_hints(TrainParamsBase).items()
    if hasattr(TrainParamsBase, name)
}


class _RepeatedKey(dict[str, Any]):
    """An object of the JSON in which a key stands twice."""

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
    """Yields the JSON path of each key that stands twice in its object."""
    if isinstance(value, _RepeatedKey):
        yield config_schema.join_path(where, value.key)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _repeated_keys(item, config_schema.join_path(where, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _repeated_keys(item, f"{where}[{index}]")


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
        _check_overrides(config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return config


def load_params(
    path: Path, config: dict[str, Any], source_folder: Path | None = None
) -> TrainParamsBase:
    """Builds the `TrainParams` of a params file and applies the JSON's overrides.

    Args:
      path: The Python file.
      config: The checked JSON.
      source_folder: Folder the file was copied from; its neighbours stay importable.

    Returns:
      The checked instance.

    Raises:
      UserError: The file is missing or fails, has no `TrainParams`, or a value in it
        or in the JSON's `train_params` is wrong.
    """
    params_class = load_class(path, source_folder or path.parent)
    return make_params(params_class, path, config)


def make_params(
    params_class: type[TrainParamsBase], path: Path, config: dict[str, Any]
) -> TrainParamsBase:
    """Builds a `TrainParams` and applies the JSON's overrides; see `load_params`."""
    try:
        params = params_class(config)
    except Exception as error:
        explain_missing_horizon(error, path, config)
        raise UserError(
            f"TrainParams(env_config) failed: {_describe(error, path)}"
        ) from error
    if not hasattr(params, "env_config"):
        raise UserError(
            f"{path}: TrainParams.__init__ must call super().__init__(env_config)"
        )
    for name, value in _check_overrides(config).items():
        setattr(params, name, value)
    for name in ATTRIBUTE_TYPES:
        _check_value(f"{path}: {name}", name, getattr(params, name))
    if params.n_buffer_init_episodes > params.n_episodes_in_buffer:
        raise UserError(
            f"n_buffer_init_episodes {params.n_buffer_init_episodes} must not exceed "
            f"n_episodes_in_buffer {params.n_episodes_in_buffer}: training would "
            "never start"
        )
    if params.recurrent and params.n_step_returns > 1:
        raise UserError(
            f"n_step_returns must be 1 with recurrent networks, got "
            f"{params.n_step_returns}: their sequences are of single steps"
        )
    return params


def explain_missing_horizon(
    error: Exception, path: Path, config: dict[str, Any]
) -> None:
    """Raises a `UserError` if the user's code wanted a `horizon` that is not there."""
    if repr(error) == "KeyError('horizon')" and "horizon" not in config:
        raise UserError(
            f'{_place(error, path)} reads env_config["horizon"], which the JSON '
            'does not have; add e.g. "horizon": 1000 to it'
        ) from error


def _check_overrides(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the checked values of `train_params`, lists as tuples."""
    overrides = {}
    for name, value in config.get("train_params", {}).items():
        where = config_schema.join_path("train_params", name)
        if name not in ATTRIBUTE_TYPES:
            close = difflib.get_close_matches(name, ATTRIBUTE_TYPES, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"{where} is not an attribute of TrainParams{hint}")
        overrides[name] = tuple(value) if isinstance(value, list) else value
        _check_value(where, name, overrides[name])
    return overrides


def call_hook(hook: Callable[..., Any], **offered: Any) -> Any:
    """Calls a user's hook with those of the offered arguments that it takes."""
    parameters = inspect.signature(hook).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    taken = {
        name: value
        for name, value in offered.items()
        if takes_any or name in parameters
    }
    return hook(**taken)


def load_class(path: Path, source_folder: Path) -> type[TrainParamsBase]:
    """Loads the class `TrainParams` of a params file.

    Args:
      path: The Python file.
      source_folder: Folder whose modules it may import.

    Raises:
      UserError: The file is missing or fails, or has no such class.
    """
    if not path.is_file():
        raise UserError(f"no params file {path}")
    # Modules beside the params file, and those of the user's working folder.
    for folder in (str(source_folder), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)
    spec = importlib.util.spec_from_file_location("train_params", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_params"] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"cannot load {_describe(error, path)}") from error
    params_class = getattr(module, "TrainParams", None)
    if not inspect.isclass(params_class) or not issubclass(
        params_class, TrainParamsBase
    ):
        raise UserError(
            f"{path} has no class TrainParams that derives from "
            "tfagents_system.train_params_base.TrainParamsBase"
        )
    if inspect.isabstract(params_class):
        missing = ", ".join(sorted(params_class.__abstractmethods__))
        raise UserError(f"{path}: TrainParams must define {missing}")
    return params_class


def _describe(error: Exception, path: Path) -> str:
    """Returns `file:line: Type: message`, the line being the last in `path`."""
    return f"{_place(error, path)}: {type(error).__name__}: {error}"


def _place(error: Exception, path: Path) -> str:
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.lineno:
        lines = [error.lineno]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _check_value(where: str, name: str, value: Any) -> None:
    expected = ATTRIBUTE_TYPES[name]
    if not _has_type(value, expected):
        kind = getattr(expected, "__name__", str(expected).replace("typing.", ""))
        raise UserError(f"{where} must be of type {kind}, got {value!r}")
    if value is None or name not in CHECKS:
        return
    is_valid, requirement = CHECKS[name]
    if not is_valid(value):
        raise UserError(f"{where} {requirement}, got {value!r}")


def _has_type(value: Any, expected: Any) -> bool:
    if expected is Any:
        return True
    if typing.get_origin(expected) is typing.Union:
        return any(_has_type(value, kind) for kind in typing.get_args(expected))
    if typing.get_origin(expected) is tuple:
        return isinstance(value, (tuple, list)) and all(
            _has_type(item, int) for item in value
        )
    if expected is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and math.isfinite(value)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, expected)
