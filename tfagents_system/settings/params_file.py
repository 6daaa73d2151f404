"""Loads a params file: a Python file with the user's class `TrainParams`."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import Any, TypeVar

from tfagents_system.errors import UserError
from tfagents_system.settings import checks, configuration, hyperparameters

Params = TypeVar("Params", bound=hyperparameters.Hyperparameters)


def load_params(
    path: Path,
    config: dict[str, Any],
    base: type[Params],
    source_folder: Path | None = None,
) -> Params:
    """Builds the `TrainParams` of a params file and applies the JSON's overrides.

    Args:
      path: The Python file.
      config: The checked JSON.
      base: The class that `TrainParams` must derive from.
      source_folder: Folder that the file was copied from; its neighbours stay
        importable.

    Returns:
      The checked instance.

    Raises:
      UserError: The file is missing or fails, has no `TrainParams`, or a value in it
        or in the JSON's `train_params` is wrong.
    """
    params_class = load_class(path, base, source_folder)
    return make_params(params_class, path, config)


def load_class(
    path: Path, base: type[Params], source_folder: Path | None = None
) -> type[Params]:
    """Loads the class `TrainParams` of a params file; as `load_params`."""
    if not path.is_file():
        raise UserError(f"no params file {path}")
    # Modules beside the params file, and those of the user's working folder.
    for folder in (str(source_folder or path.parent), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)
    spec = importlib.util.spec_from_file_location("train_params", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_params"] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"cannot load {_describe(error, path)}") from error
    params_class = getattr(module, "TrainParams", None)
    if not inspect.isclass(params_class) or not issubclass(params_class, base):
        raise UserError(
            f"{path} has no class TrainParams that derives from "
            f"{base.__module__}.{base.__name__}"
        )
    if inspect.isabstract(params_class):
        missing = ", ".join(sorted(getattr(params_class, "__abstractmethods__", ())))
        raise UserError(f"{path}: TrainParams must define {missing}")
    return params_class


def make_params(
    params_class: type[Params], path: Path, config: dict[str, Any]
) -> Params:
    """Builds a `TrainParams` and applies the JSON's overrides; as `load_params`."""
    try:
        params = params_class(config)
    except (Exception, SystemExit) as error:
        explain_missing_horizon(error, path, config)
        raise UserError(
            f"TrainParams(env_config) failed: {_describe(error, path)}"
        ) from error
    if not hasattr(params, "env_config"):
        raise UserError(
            f"{path}: TrainParams.__init__ must call super().__init__(env_config)"
        )
    for name, value in configuration.read_overrides(config).items():
        setattr(params, name, value)
    for name, hint in hyperparameters.HINTS.items():
        checks.check_value(f"{path}: {name}", getattr(params, name), hint)
    if params.n_buffer_init_episodes > params.n_episodes_in_buffer:
        raise UserError(
            f"n_buffer_init_episodes {params.n_buffer_init_episodes} must not exceed "
            f"n_episodes_in_buffer {params.n_episodes_in_buffer}: training would "
            "never start"
        )
    if params.recurrent:
        _check_recurrent(params)
    return params


def _check_recurrent(params: hyperparameters.Hyperparameters) -> None:
    """Checks what recurrent networks need.

    Raises:
      UserError: A value that they cannot have.
    """
    if params.n_step_returns > 1:
        raise UserError(
            f"n_step_returns must be 1 with recurrent networks, got "
            f"{params.n_step_returns}: their sequences are of single steps"
        )
    for name in ("actor_fc_layer_params", "critic_joint_fc_layer_params"):
        sizes = getattr(params, name)
        if len(sizes) != 2:
            raise UserError(
                f"{name} must hold two sizes with recurrent networks, got "
                f"{tuple(sizes)}: an LSTM lies between the layers"
            )
    # TrainParams may have any attribute, and earlier versions read this one.
    if hasattr(params, "recurrent_lstm_units"):
        raise UserError(
            "recurrent_lstm_units is not a setting any more: the LSTM's size is in "
            "actor_fc_layer_params and critic_joint_fc_layer_params"
        )


def explain_missing_horizon(
    error: BaseException, path: Path, config: dict[str, Any]
) -> None:
    """Raises a `UserError` if the user's code failed for want of a `horizon`."""
    if repr(error) == "KeyError('horizon')" and "horizon" not in config:
        raise UserError(
            f'{_place(error, path)} reads env_config["horizon"], which the JSON '
            'does not have; add e.g. "horizon": 1000 to it'
        ) from error


def _describe(error: BaseException, path: Path) -> str:
    """Returns `file:line: Type: message`, the line being the last in `path`."""
    return f"{_place(error, path)}: {describe_error(error)}"


def describe_error(error: BaseException) -> str:
    """Says in one line what a user's code did instead of what it should."""
    if isinstance(error, SystemExit):
        return f"it ended the process (sys.exit({error.code!r}))"
    message = str(error).partition("\n")[0]  # gin adds lines of its own.
    return f"{type(error).__name__}: {message}"


def _place(error: BaseException, path: Path) -> str:
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.lineno:
        lines = [error.lineno]
    return f"{path}:{lines[-1]}" if lines else str(path)
