"""What a training variables file sets, read from the environment and checked.

scripts/load_variables.sh sources the file; the values arrive as environment variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import REPOSITORY, resolve_path
from tfagents_system.launcher.cpu_plan import CpuRequest
from tfagents_system.launcher.daemontools import check_value
from tfagents_system.launcher.task_settings import read_task

# What must be set, and to what it might be.
_EXAMPLES = {
    "SAC_EXP_NAME": "my_experiment",
    "SAC_PARAMS": "my_params.py",
    "SAC_CONFIG": "my_config.json",
}


def read_exp_dir(environment: Mapping[str, str]) -> Path:
    """Returns the experiment directory that the environment names.

    SAC_EXP_DIR if it is set, otherwise logs/$SAC_EXP_NAME below the repository. In a
    SLURM job array `_task_$SLURM_ARRAY_TASK_ID` is appended, and a sweep's setting.

    Raises:
      UserError: Neither variable is set, or the services could not be told the path; as
        `task_settings.read_task`.
    """
    if exp_dir := _read_text(environment, "SAC_EXP_DIR"):
        path = resolve_path(exp_dir)
    else:
        name = _read_text(environment, "SAC_EXP_NAME")
        if not name:
            raise UserError(_missing("SAC_EXP_NAME"))
        path = REPOSITORY / "logs" / (name + read_task(environment).suffix)
    check_value("the experiment directory", str(path))
    return path


def read_file(environment: Mapping[str, str], name: str) -> Path:
    """Returns the file that a variable names, e.g. SAC_PARAMS.

    Raises:
      UserError: It is not set, or there is no such file.
    """
    value = _read_text(environment, name)
    if not value:
        raise UserError(_missing(name))
    path = resolve_path(value)
    if not path.is_file():
        raise UserError(f"{name}: no file {value}")
    return path


def _missing(name: str) -> str:
    return (
        f"{name} is not set; add a line such as {name}={_EXAMPLES[name]} to the "
        "variables file"
    )


def read_port(environment: Mapping[str, str]) -> int | None:
    """Returns SAC_REVERB_PORT, the port of the replay server; None for `auto`.

    Raises:
      UserError: It is not a port.
    """
    text = environment.get("SAC_REVERB_PORT", "auto").strip()
    if text in ("auto", ""):
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UserError(f"SAC_REVERB_PORT={text!r} must be a port, 1-65535, or auto")
    return int(text)


def read_machine(environment: Mapping[str, str]) -> int:
    """Returns SAC_MACHINE, the number of a machine with workers only; 1 if unset.

    Raises:
      UserError: It is not a number from 1 on.
    """
    return _read_number(environment, "SAC_MACHINE") or 1


def _read_text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    check_value(name, value)
    return value


def _read_number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "auto").strip()
    if text in ("auto", ""):
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{name}={text!r} must be a whole number >= 1, or auto")
    return int(text)


def read_cpu_request(environment: Mapping[str, str]) -> CpuRequest:
    """Reads the CPU numbers from the environment.

    Raises:
      UserError: A value is neither a positive whole number nor `auto`.
    """
    return CpuRequest(
        reverb_cpus=_read_number(environment, "SAC_REVERB_CPUS"),
        train_cpus=_read_number(environment, "SAC_TRAIN_CPUS"),
        num_collect_workers=_read_number(environment, "SAC_NUM_COLLECT_WORKERS"),
        collect_worker_cpus=_read_number(environment, "SAC_COLLECT_WORKER_CPUS"),
    )
