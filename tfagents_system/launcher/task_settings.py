"""What one task of a job array has of its own: its seed, and its setting of a sweep.

SAC_SEED is the seed of the first task; task k adds k. SAC_SWEEP names a JSON file with
a list of `train_params`, of which task k takes the k-th.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import resolve_path
from tfagents_system.host.files import read_json
from tfagents_system.settings import configuration

# Of a name made of a setting: a file name may have 255 bytes.
_MAX_NAME_CHARS = 100


@dataclasses.dataclass(frozen=True)
class TaskSettings:
    """What a task has of its own.

    Attributes:
      suffix: Of the name of its experiment directory; empty without a job array.
      train_params: Hyperparameters by name, as in the JSON; they win over it.
    """

    suffix: str
    train_params: dict[str, Any]


def read_task(environment: Mapping[str, str]) -> TaskSettings:
    """Reads SAC_SEED, SAC_SWEEP and SLURM_ARRAY_TASK_ID.

    Raises:
      UserError: A value is not what it must be, or there is no setting for the task.
    """
    task = _read_number(environment, "SLURM_ARRAY_TASK_ID")
    seed = _read_number(environment, "SAC_SEED")
    setting = _read_setting(environment, task)
    train_params: dict[str, Any] = {}
    if seed is not None or task is not None:
        train_params["seed"] = (seed or 0) + (task or 0)
    train_params.update(setting)
    suffix = "" if task is None else f"_task_{task}"
    if setting:
        suffix += f"_{_format(setting)}"
    return TaskSettings(suffix, train_params)


def _read_number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal():
        raise UserError(f"{name}={text!r} must be a whole number >= 0")
    return int(text)


def _read_setting(environment: Mapping[str, str], task: int | None) -> dict[str, Any]:
    name = environment.get("SAC_SWEEP", "")
    if not name:
        return {}
    path = resolve_path(name)
    if not path.is_file():
        raise UserError(f"SAC_SWEEP: no file {name}")
    settings = read_json(path)
    if not isinstance(settings, list) or not all(
        isinstance(setting, dict) for setting in settings
    ):
        raise UserError(
            f"{path} must hold a JSON list of objects, each as train_params"
        )
    for index, setting in enumerate(settings):
        try:
            configuration.read_overrides({"train_params": setting})
        except UserError as error:
            raise UserError(f"{path}: [{index}]: {error}") from error
    if task is None:
        raise UserError(
            "SAC_SWEEP is for the tasks of a job array: set SLURM_ARRAY_TASK_ID to the "
            f"number of a setting, 0 to {len(settings) - 1}"
        )
    if task >= len(settings):
        raise UserError(
            f"{path} has {len(settings)} settings, none for task {task}; submit with "
            f"--array=0-{len(settings) - 1}"
        )
    return dict(settings[task])


def _format(setting: Mapping[str, Any]) -> str:
    """Formats a setting as a part of a file name, e.g. `discount=0.98`."""
    parts = (f"{name}={json.dumps(value)}" for name, value in setting.items())
    return re.sub(r"[^\w.,=+-]+", "", ",".join(parts))[:_MAX_NAME_CHARS]
