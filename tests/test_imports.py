"""Commands are quick and quiet, and imports run one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "tfagents_system"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"tensorflow", "tf_agents", "reverb", "gym", "pybullet", "imageio"}
HEAVY |= {"gymnasium", "dm_control", "mujoco"}
# What the launcher, the status and every --help import.
LIGHT_MODULES = [
    "config_schema",
    "configuration",
    "curriculum",
    "errors",
    "experiment",
    "generations",
    "headless",
    "launch",
    "ports",
    "processes.collect_worker",
    "processes.learner",
    "processes.prepare",
    "processes.replay_server",
    "processes.startup",
    "progress",
    "run",
    "status",
    "supervision",
    "topology",
    "train_params_base",
    "watch",
]


def imported_by(module: Path) -> set[str]:
    """Returns the names of all modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module}
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_under(name: str, packages: tuple[str, ...]) -> bool:
    """Returns whether a module lies in one of the packages."""
    return any(name == p or name.startswith(f"{p}.") for p in packages)


def test_light_modules_import_nothing_heavy() -> None:
    imports = "\n".join(f"import tfagents_system.{name}" for name in LIGHT_MODULES)
    check = f"{imports}\nimport sys\nprint({HEAVY!r} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", check],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (result.stdout, result.stderr) == ("set()\n", "")


def test_only_dataflow_checkpoint_and_the_processes_import_reverb() -> None:
    allowed = ("dataflow", "processes", "checkpoint.py")
    for module in MODULES:
        place = module.relative_to(PACKAGE).parts[0]
        if place not in allowed:
            reverb = {n for n in imported_by(module) if n.split(".")[0] == "reverb"}
            assert not reverb, module


def test_imports_run_one_way() -> None:
    # processes -> dataflow, checkpoint -> algorithm -> train_params_base.
    layers = {
        "algorithm": ("dataflow", "processes", "checkpoint", "launch", "environments"),
        "dataflow": ("processes", "checkpoint", "launch", "environments"),
        "environments": ("processes", "dataflow", "checkpoint", "launch"),
    }
    for folder, above in layers.items():
        forbidden = tuple(f"tfagents_system.{name}" for name in above)
        for module in (PACKAGE / folder).glob("*.py"):
            for name in imported_by(module):
                assert not is_under(name, forbidden), f"{module} imports {name}"


def test_no_module_is_named_utils() -> None:
    assert not [m for m in MODULES if "util" in m.stem]


@pytest.mark.parametrize(
    "command",
    [
        ["./launch_training.sh"],
        ["./train_minitaur.sh"],
        ["scripts/status.sh"],
        ["scripts/stop_training.sh"],
        [sys.executable, "scripts/plot_returns.py"],
        [sys.executable, "tfagents_system/run.py"],
        [sys.executable, "-m", "tfagents_system.launch"],
        [sys.executable, "-m", "tfagents_system.status"],
        [sys.executable, "-m", "tfagents_system.processes.prepare"],
        [sys.executable, "-m", "tfagents_system.processes.learner"],
        [sys.executable, "-m", "tfagents_system.processes.collect_worker"],
        [sys.executable, "-m", "tfagents_system.processes.replay_server"],
    ],
)
def test_help_is_quiet_and_starts_nothing(command: list[str], tmp_path: Path) -> None:
    result = subprocess.run(
        [*command, "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    assert result.stdout.startswith("usage: ")
    assert result.stderr == ""
