"""The house: small modules, small functions, and a test beside each module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, SLOW

PACKAGE = REPOSITORY / "tfagents_system"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES} - {PACKAGE})
MAX_ROOT_MODULES = 8
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL_ARGUMENTS = 7
# Modules without a test file of their own name, and what tests them instead.
TESTED_ELSEWHERE = {
    "errors.py": "end_to_end/test_bad_input.py",
    "experiment/stopping.py": "end_to_end/test_training.py",
    "launcher/detach.py": "end_to_end/test_launcher.py",
    "minitaur_params.py": "slurm/test_training.py",
    "processes/__main__.py": "processes/test_main.py",
    "train.py": "end_to_end/test_one_process.py",
    "train_params_base.py": "settings/test_params_file.py",
}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yields every function of a file, nested ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def positional_arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Counts the arguments that may be given by position, `self` left out."""
    arguments = function.args.posonlyargs + function.args.args
    return len([a for a in arguments if a.arg not in ("self", "cls")])


def test_the_root_has_only_what_users_open() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_ROOT_MODULES


def test_each_folder_says_what_it_is() -> None:
    for folder in FOLDERS:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), (
            folder
        )


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_and_functions_are_small(path: Path) -> None:
    assert path.read_text().count("\n") <= MAX_MODULE_LINES
    for function in functions(path):
        assert function.end_lineno is not None
        num_lines = function.end_lineno - function.lineno + 1
        assert num_lines <= MAX_FUNCTION_LINES, function.name
        if function.name == "__init__":
            assert positional_arguments(function) <= MAX_POSITIONAL_ARGUMENTS, (
                f"line {function.lineno}"
            )


def test_no_module_is_named_utils() -> None:
    assert not [path for path in MODULES if "util" in path.stem]
    # But for the folder whose name the archived framework gave it.
    assert [path.name for path in FOLDERS if "util" in path.name] == ["utils"]


def test_each_module_has_a_test_of_its_name_or_a_reason() -> None:
    tests = REPOSITORY / "tests"
    for path in MODULES:
        module = path.relative_to(PACKAGE)
        if path.stem == "__init__":
            continue
        namesake = tests / module.parent / f"test_{module.name}"
        elsewhere = TESTED_ELSEWHERE.get(str(module))
        assert namesake.exists() != bool(elsewhere), module
        if elsewhere:
            assert (tests / elsewhere).exists(), elsewhere


def test_reasons_are_of_modules_that_exist() -> None:
    assert all((PACKAGE / module).exists() for module in TESTED_ELSEWHERE)


def test_what_is_slow_exists() -> None:
    for name in SLOW:
        path, _, test = name.partition("::")
        assert (REPOSITORY / path).exists(), name
        assert not test or f"def {test}" in (REPOSITORY / path).read_text(), name
