"""Packages that may be missing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import tomli

from tests.conftest import REPOSITORY
from tfagents_system.environments import extras, loaders
from tfagents_system.errors import UserError


@pytest.mark.parametrize(
    ("package", "name", "messages"),
    [
        ("gymnasium", "HalfCheetah-v5", ["HalfCheetah-v5 needs gymnasium, which is"]),
        ("gymnasium", "gymnasium/CartPole-v1", ["CartPole-v1 needs gymnasium"]),
        ("mujoco", "HalfCheetah-v5", ["HalfCheetah-v5 needs mujoco, which is not"]),
        ("dm_control", "dm_control/cartpole-swingup", ["needs dm_control, which"]),
        (
            "gymnasium",
            "Pendulm-v1",
            ["did you mean Pendulum-v1", "gymnasium, which has more of them, is not"],
        ),
    ],
)
def test_missing_package(
    package: str, name: str, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if it had never been imported, and cannot be.
    imported = [package] + ["gymnasium.envs.mujoco"] * (package == "mujoco")
    for module in list(sys.modules):
        if any(f"{module}.".startswith(f"{name}.") for name in imported):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as error:
        loaders.load(name)
    extra = "dm_control" if package == "dm_control" else "gymnasium"
    command = extras.pip_command(extras.REQUIREMENTS[extra])
    assert command.startswith(f"{sys.executable} -m pip install '{extra}")
    assert str(error.value).endswith(f"not installed: {command}")
    for message in messages:
        assert message in str(error.value)


def test_missing_package_of_another_extra_of_gymnasium(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for name in ("LunarLander-v3", "BipedalWalker-v3"):
        with pytest.raises(UserError, match=r"pip install 'gymnasium\[box2d\]>=1.0"):
            loaders.load(name)


def test_commands_agree_with_the_extras_of_pyproject() -> None:
    project = tomli.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    optional = dict(project["optional-dependencies"])
    del optional["dev"]
    assert optional == extras.REQUIREMENTS


def test_optional_packages_are_not_imported_before_they_are_needed() -> None:
    check = (
        "import sys; from tfagents_system.environments import loaders;"
        "loaders.wrap(loaders.load('Pendulum-v1'));"
        "names = {'gymnasium', 'dm_control', 'dm_env', 'mujoco', 'pybullet_envs'};"
        "print(names & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


def test_mujoco_without_its_opengl_libraries_says_what_to_install() -> None:
    code = (
        "import ctypes, ctypes.util; ctypes.util.find_library = lambda name: None;"
        "from tfagents_system.environments import loaders;"
        "from tfagents_system.errors import run_command;"
        "run_command(lambda: loaders.load('HalfCheetah-v5'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "MUJOCO_GL": "osmesa"},
        capture_output=True,
        text=True,
        check=False,
    )
    last_line = result.stderr.splitlines()[-1]
    assert last_line.startswith("error: MuJoCo cannot be imported with MUJOCO_GL=osmes")
    assert "apt install libegl1" in last_line
