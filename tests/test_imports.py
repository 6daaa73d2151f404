"""Which module may import which: read from the import graph, deferred imports too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "tfagents_system"
HEAVY = {"tensorflow", "tf_agents", "reverb", "gym", "pybullet", "imageio"}
HEAVY |= {"gymnasium", "dm_control", "mujoco"}
# Rooms that start no TensorFlow, with the module that writes its event files apart.
LIGHT_ROOMS = ("errors", "experiment", "host", "launcher", "settings")
LIGHT_MODULES = ("run", "train", "train_params_base")
NOT_LIGHT = "tfagents_system.experiment.summaries"

Graph = Mapping[str, set[str]]


def name_of(path: Path) -> str:
    """Returns the dotted name of a module's file."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imported_by(source: str) -> set[str]:
    """Returns the names of all modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module}
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PACKAGES = {name for name, path in MODULES.items() if path.stem == "__init__"}
IMPORTS = {name: imported_by(path.read_text()) for name, path in MODULES.items()}
OWN_IMPORTS: Graph = {
    name: {n for n in names if n in MODULES and n not in PACKAGES}
    for name, names in IMPORTS.items()
}


def room_of(name: str) -> str:
    """Returns the folder of a module, or the module's own name in the root."""
    return f"{name}.".split(".")[1]


def rooms(graph: Graph) -> Graph:
    """Returns which room imports which."""
    found: dict[str, set[str]] = {}
    for name, imported in graph.items():
        others = {room_of(other) for other in imported} - {room_of(name)}
        found.setdefault(room_of(name), set()).update(others)
    return found


def find_circle(graph: Graph) -> list[str] | None:
    """Returns modules each of which imports the next, the last being the first."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        done.add(name)
        for other in sorted(graph.get(name, ())):
            if circle := visit(other, [*path, name]):
                return circle
        return None

    for name in sorted(graph):
        if circle := visit(name, []):
            return circle
    return None


def importers(package: str, imports: Mapping[str, Iterable[str]]) -> set[str]:
    """Returns the modules that import a package of others."""
    return {
        name
        for name, imported in imports.items()
        if any(other.split(".")[0] == package for other in imported)
    }


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}
    assert find_circle(graph) == ["b", "d", "b"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
    assert "x.y" in imported_by("def f():\n    from x import y")


def test_modules_import_in_no_circle() -> None:
    assert find_circle(OWN_IMPORTS) is None


def test_rooms_import_in_no_circle() -> None:
    assert find_circle(rooms(OWN_IMPORTS)) is None


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("launcher", {"processes", "one_process", "learning", "acting", "dataflow"}),
        ("processes", {"launcher", "one_process"}),
        ("one_process", {"launcher", "processes"}),
        ("algorithm", {"processes", "launcher", "dataflow", "experiment"}),
        ("host", {"experiment", "settings", "environments"}),
    ],
)
def test_rooms_that_never_import_each_other(room: str, never: set[str]) -> None:
    assert not rooms(OWN_IMPORTS)[room] & never


def test_names_for_archived_params_files_stand_alone() -> None:
    graph = rooms(OWN_IMPORTS)
    assert graph["utils"] == set()
    assert not [room for room, imported in graph.items() if "utils" in imported]


def test_reverb_is_imported_where_experience_is_moved_and_saved() -> None:
    allowed = {"tfagents_system.learning.checkpoint"}
    allowed |= {"tfagents_system.processes.replay_server"}
    found = importers("reverb", IMPORTS) - allowed
    assert {room_of(name) for name in found} == {"dataflow"}


def test_light_rooms_start_no_tensorflow() -> None:
    names = [
        name
        for name in MODULES
        if room_of(name) in (*LIGHT_ROOMS, *LIGHT_MODULES) and name != NOT_LIGHT
    ]
    assert len(names) > len(LIGHT_ROOMS)
    imports = "\n".join(f"import {name}" for name in names)
    check = f"{imports}\nimport sys\nprint({HEAVY!r} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", check],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (result.stdout, result.stderr) == ("set()\n", "")


def test_one_process_and_evaluation_do_without_reverb() -> None:
    check = """
import sys
sys.modules["reverb"] = None
from tfagents_system.host.quiet import quiet_imports
quiet_imports()
from tfagents_system.acting import evaluation, policies, video
from tfagents_system.environments import hooks
from tfagents_system.learning import policy_export
from tfagents_system.one_process import training
"""
    subprocess.run([sys.executable, "-c", check], cwd=REPOSITORY, check=True)


@pytest.mark.parametrize(
    "command",
    [
        ["./launch_training.sh"],
        ["./train_contact_insert.sh"],
        ["./train_minitaur.sh"],
        ["scripts/status.sh"],
        ["scripts/stop_training.sh"],
        [sys.executable, "scripts/evaluate_contact_insert.py"],
        [sys.executable, "scripts/plot_returns.py"],
        [sys.executable, "tfagents_system/run.py"],
        [sys.executable, "train.py"],
        [sys.executable, "-m", "tfagents_system.train"],
        [sys.executable, "-m", "tfagents_system.launcher.launch"],
        [sys.executable, "-m", "tfagents_system.launcher.status"],
        [sys.executable, "-m", "tfagents_system.processes"],
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
