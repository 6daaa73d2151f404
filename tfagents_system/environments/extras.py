"""Optional packages: which may be missing, and how to install them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from typing import Any

from tfagents_system.errors import UserError
from tfagents_system.host import headless

#: The optional dependencies of pyproject.toml, by name.
REQUIREMENTS = {
    "dm_control": ["dm_control>=1.0.30", "mujoco<3.4"],
    "gymnasium": ["gymnasium[mujoco]>=1.0,<1.2", "mujoco<3.4"],
    "plot": ["matplotlib"],
}


class UnknownName(LookupError):
    """A library has no environment of that name."""


def pip_command(requirements: Iterable[str]) -> str:
    """Returns the command that installs requirements for this Python."""
    quoted = " ".join(f"'{requirement}'" for requirement in requirements)
    return f"{sys.executable} -m pip install {quoted}"


def is_installed(package: str) -> bool:
    """Returns whether a package can be imported, without doing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # Its entry in sys.modules is None.
        return False


def missing(extra: str, name: str, package: str) -> UserError:
    """Returns the error for a package that is not installed.

    Args:
      extra: Which of `REQUIREMENTS` has it.
      name: What needs it, such as an environment.
      package: What is missing.
    """
    return UserError(
        f"{name} needs {package}, which is not installed: "
        f"{pip_command(REQUIREMENTS[extra])}"
    )


def import_extra(extra: str, name: str) -> Any:
    """Imports an optional package.

    Args:
      extra: Its name, one of `REQUIREMENTS`.
      name: The environment that needs it.

    Returns:
      The module.

    Raises:
      UserError: It is not installed.
    """
    try:
        return importlib.import_module(extra)
    except ModuleNotFoundError as error:
        if error.name != extra:
            raise
        raise missing(extra, name, extra) from error


def import_mujoco(extra: str, name: str) -> None:
    """Imports MuJoCo, which loads the OpenGL libraries that MUJOCO_GL names.

    Args:
      extra: Which of `REQUIREMENTS` has it.
      name: The environment that needs it.

    Raises:
      UserError: It or the libraries are not installed.
    """
    try:
        importlib.import_module("mujoco")
    except ModuleNotFoundError as error:
        if error.name != "mujoco":
            raise
        raise missing(extra, name, "mujoco") from error
    except (AttributeError, ImportError) as error:  # The former is PyOpenGL's way.
        raise UserError(
            f"MuJoCo cannot be imported with MUJOCO_GL="
            f"{os.environ.get('MUJOCO_GL', '')}; unset it, or {headless.MUJOCO_HINT}"
        ) from error
