"""scripts/check.sh on a download without git: it finds the same files, and errors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

MODULE = '"""A module."""\n'
SCRIPT = "#!/bin/sh\necho hello\n"
BAD = "import   os\n"
# In parts, for this file is checked as well.
MISSPELT = "".join(("t", "eh"))


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """Returns a small project without git whose set-up is that of this one."""
    for file in (".gitignore", "pyproject.toml", "scripts/check.sh"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / file, tmp_path / file)
    setup = tmp_path / "scripts/setup.sh"
    setup.write_text(f"#!/bin/sh\necho '{sys.executable}'\n")
    setup.chmod(0o755)
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "a script").write_text(SCRIPT)
    # What a training and a set-up leave is not the project's.
    for folder in ("logs/cart", ".venv/lib", "distributed_sac.egg-info"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "params.py").write_text(BAD)
    return tmp_path


def check(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "scripts/check.sh"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_download_without_git_is_checked(download: Path) -> None:
    result = check(download)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "+ ruff check (1 modules)\n" in result.stdout
    assert "+ shellcheck (3 scripts)\n" in result.stdout
    assert "+ codespell (6 files)\n" in result.stdout
    assert result.stdout.endswith("All checks passed.\n")


def test_every_check_finds_what_is_wrong(download: Path) -> None:
    (download / "module.py").write_text(f"{MODULE}\n{BAD}x: int = ''\n")
    (download / "a script").write_text(f"{SCRIPT}echo $1\n# {MISSPELT}\n")
    result = check(download)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-5:] == [
        "FAILED: ruff format --check",
        "FAILED: ruff check (1 modules)",
        "FAILED: mypy",
        "FAILED: shellcheck (3 scripts)",
        "FAILED: codespell (6 files)",
    ]
