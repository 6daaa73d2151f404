"""What the set-up promises: the lock files, environment.yml and the scripts."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tomli
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY

PROJECT: dict[str, Any] = tomli.loads((REPOSITORY / "pyproject.toml").read_text())[
    "project"
]
DAEMONTOOLS = "supervise|svscan|svc|svstat|svok|multilog|envdir|setlock"
NOBODY = 65534

LockedPackages = dict[str, str]


def locked_packages(file: str) -> LockedPackages:
    """Returns the part of a lock file about each package, by its name."""
    parts = re.split(r"^(?=[\w\[\]-]+==)", (REPOSITORY / file).read_text(), flags=re.M)
    return {re.split(r"==|\[", part)[0]: part for part in parts[1:]}


def locked_version(part: str) -> str:
    """Returns the version in a part of a lock file."""
    return re.split(r"==|\s", part)[1]


def run(
    command: Sequence[str | Path], **variables: str | None
) -> subprocess.CompletedProcess[str]:
    """Runs a command from a folder that is not the repository's."""
    return subprocess.run(
        command,
        cwd="/",
        env=environment(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Returns the environment without what steers setup.sh, plus the changes."""
    kept = {**os.environ, "CONDA_PREFIX": None, "SAC_PYTHON": None, **changes}
    return {name: value for name, value in kept.items() if value is not None}


def commands_without(folder: Path, unwanted: str) -> Path:
    """Fills a folder to be PATH: the system's commands but those that match."""
    folder.mkdir()
    for directory in ("/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for command in Path(directory).glob("*"):
            link = folder / command.name
            if not re.fullmatch(unwanted, command.name) and not link.is_symlink():
                link.symlink_to(command)
    return folder


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_package_has_hashes_and_no_address(file: str) -> None:
    packages = locked_packages(file)
    assert {"setuptools", "wheel", "packaging"} <= set(packages)
    for part in packages.values():
        assert "--hash=sha256:" in part
    assert "://" not in (REPOSITORY / file).read_text()


def test_both_lock_files_have_what_the_project_asks_for() -> None:
    runtime = locked_packages("requirements.lock")
    development = locked_packages("requirements-dev.lock")
    assert len(PROJECT["dependencies"]) > 5
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert locked_version(runtime[name]) in requirement.specifier
    for text in itertools.chain(*PROJECT["optional-dependencies"].values()):
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert locked_version(development[name]) in requirement.specifier


def test_the_lock_files_agree() -> None:
    runtime = locked_packages("requirements.lock")
    development = locked_packages("requirements-dev.lock")
    for name, part in runtime.items():
        assert locked_version(development[name]) == locked_version(part)


def test_what_only_some_want_is_for_tests_and_those_who_ask() -> None:
    assert not {"gymnasium", "dm-control", "matplotlib", "mujoco"} & set(
        locked_packages("requirements.lock")
    )


def test_reverb_is_for_linux_only() -> None:
    part = locked_packages("requirements.lock")["dm-reverb"]
    assert "; sys_platform == 'linux' \\" in part.splitlines()[0]


def test_the_conda_environment_leaves_versions_to_the_lock_file() -> None:
    described = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    assert described["name"] == "sac_utils"
    python, pip, from_pypi = described["dependencies"]
    name, version = python.split("=")
    assert name == "python"
    assert f"{version}.0" in SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert from_pypi == {"pip": ["-r requirements.lock"]}


@pytest.mark.skipif(
    not (REPOSITORY / ".venv/set-up").exists(),
    reason="not in the .venv of scripts/setup.sh",
)
def test_a_second_setup_only_prints_the_interpreter() -> None:
    before = (REPOSITORY / ".venv/set-up").stat().st_mtime_ns
    setup = run([REPOSITORY / "scripts/setup.sh"])
    assert setup.stderr == ""
    assert setup.returncode == 0
    interpreter = setup.stdout.removesuffix("\n")
    assert "\n" not in interpreter
    assert run([interpreter, "-c", "import tfagents_system"]).returncode == 0
    assert (REPOSITORY / ".venv/set-up").stat().st_mtime_ns == before


def test_setup_takes_the_activated_conda_environment(tmp_path: Path) -> None:
    prefix = tmp_path / "sac_utils"
    (prefix / "lib/python3.11/site-packages/tf_agents-0.19.0.dist-info").mkdir(
        parents=True
    )
    (prefix / "bin").mkdir()
    (prefix / "bin/python").symlink_to(sys.executable)
    setup = run([copy_with_tf_agents(tmp_path)], CONDA_PREFIX=str(prefix))
    assert setup.stdout == f"{prefix}/bin/python\n"
    assert setup.returncode == 0
    assert not (tmp_path / "a project/.venv").exists()


def test_setup_does_not_take_the_archived_conda_environment(tmp_path: Path) -> None:
    prefix = tmp_path / "sac_utils"
    for name in ("tf_agents", "tf_agents-0.10.0.dist-info"):
        (prefix / "lib/python3.7/site-packages" / name).mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "bin/python").symlink_to(sys.executable)
    # It goes on to make .venv, for which there is no Python.
    path = commands_without(tmp_path / "bin", "python.*|pypy.*")
    setup = run(
        [copy_with_tf_agents(tmp_path)], CONDA_PREFIX=str(prefix), PATH=str(path)
    )
    assert (setup.stdout, setup.returncode) == ("", 1)
    first, second = setup.stderr.splitlines()
    assert first == f"setup.sh: {prefix} has no TF-Agents 0.19.0; using .venv"
    assert "needs CPython" in second


def test_setup_says_which_python_it_needs(tmp_path: Path) -> None:
    path = commands_without(tmp_path / "bin", "python.*|pypy.*")
    too_new = path / "python3"
    too_new.write_text(f"#!/bin/sh\necho CPython 3.13.1 {too_new}\n")
    too_new.chmod(0o755)
    # As pyenv's shim for a version that is not selected.
    broken = path / "python3.11"
    broken.write_text("#!/bin/sh\necho 'python3.11: command not found' >&2\nexit 127\n")
    broken.chmod(0o755)
    setup = run([copy_of_the_project(tmp_path)], PATH=str(path))
    assert setup.returncode == 1
    assert setup.stdout == ""
    assert len(setup.stderr.splitlines()) == 1
    assert "needs CPython 3.9, 3.10 or 3.11" in setup.stderr
    assert "python3 = CPython 3.13.1" in setup.stderr
    assert "uv python install 3.11 && export SAC_PYTHON=$(uv py" in setup.stderr
    assert "conda env create --file environment.yml" in setup.stderr
    packages = [f"python3.{minor}-venv" for minor in (11, 10, 9)]
    known = [name for name in packages if is_known_package(name)]
    assert re.findall(r"apt install (\S+);", setup.stderr) == known[:1]


def is_known_package(name: str) -> bool:
    """Returns whether this machine could install a package of Debian's."""
    if not shutil.which("apt-cache"):
        return False
    return run(["apt-cache", "show", name]).returncode == 0


def write_program(path: Path, body: str) -> None:
    """Writes a shell script that can be executed."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_read_only_checkout_is_one_line(tmp_path: Path) -> None:
    setup = copy_of_the_project(tmp_path)
    project = setup.parent.parent
    read_only = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && "$0"/$1'
    mounted = ["unshare", "--map-root-user", "--mount", "sh", "-c", read_only]
    result = run(
        [*mounted, str(project), "scripts/setup.sh"], SAC_PYTHON=sys.executable
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"setup.sh: cannot write to {project}, which belongs to root: use a checkout "
        "of your own, or give it to you with sudo chown -R root "
        f"{project}\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as sudo does")
def test_a_venv_that_sudo_has_made_is_one_line(folder_of_nobody: Path) -> None:
    setup = copy_of_the_project(folder_of_nobody)
    project = setup.parent.parent
    os.chown(project, NOBODY, NOBODY)
    packages = project / ".venv/lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    # It is not to be run: what is wrong is said before.
    python = folder_of_nobody / "python"
    write_program(python, f"echo CPython 3.11.9 '{python}'")
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    result = run(["setpriv", *user, setup], SAC_PYTHON=str(python))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"setup.sh: cannot write to {project}/.venv, which belongs to root: use a "
        "checkout of your own, or give it to you with sudo chown -R nobody "
        f"{project}\n"
    )


@pytest.mark.skipif(
    not (REPOSITORY / ".venv/set-up").exists(),
    reason="not in the .venv of scripts/setup.sh",
)
def test_what_tests_need_is_installed_beside_a_venv_that_is_there(
    tmp_path: Path,
) -> None:
    asked = tmp_path / "asked"
    write_program(tmp_path / "apt-get", f"echo \"$@\" >>'{asked}'")
    setup_script = str(REPOSITORY / "scripts/setup.sh")
    hide = 'mount --bind /dev/null /usr/sbin/nft && exec "$0" --dev'
    setup = run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", hide, setup_script],
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert setup.returncode == 0, setup.stderr
    assert setup.stderr == "setup.sh: installing the packages nftables\n"
    assert asked.read_text().splitlines()[0].endswith(" nftables")


def copy_of_the_project(folder: Path) -> Path:
    """Copies what setup.sh needs, below a path with a space; returns its setup.sh."""
    project = folder / "a project"
    (project / "tfagents_system").mkdir(parents=True)
    (project / "tfagents_system/__init__.py").touch()
    (project / "scripts").mkdir()
    for file in (
        "LICENSE",
        "pyproject.toml",
        "scripts/install_daemontools.sh",
        "scripts/setup.sh",
    ):
        shutil.copy(REPOSITORY / file, project / file)
    # Only what builds packages: a real set-up but for the 700 MB.
    locked = locked_packages("requirements.lock")
    few = "".join(locked[name] for name in ("packaging", "setuptools", "wheel"))
    for file in ("requirements.lock", "requirements-dev.lock"):
        (project / file).write_text(few)
    return project / "scripts/setup.sh"


def copy_with_tf_agents(folder: Path) -> Path:
    """Does the same, with TF-Agents among what is to be installed."""
    setup = copy_of_the_project(folder)
    with (setup.parent.parent / "requirements.lock").open("a") as lock:
        lock.write(locked_packages("requirements.lock")["tf-agents"])
    return setup


# It installs four packages, twice.
@pytest.mark.timeout(300)
def test_setup_from_nothing(tmp_path: Path) -> None:
    setup = copy_of_the_project(tmp_path)
    project = setup.parent.parent
    stamp = project / ".venv/set-up"
    lock = project / "requirements.lock"

    good = lock.read_text()
    lock.write_text(re.sub("sha256:.{8}", "sha256:00000000", good))
    failed = run([setup], SAC_PYTHON=sys.executable)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in failed.stderr
    assert not stamp.exists()

    lock.write_text(good)
    both = [
        subprocess.Popen(
            [setup],
            cwd="/",
            env=environment({"SAC_PYTHON": sys.executable}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in both]
    interpreter = project / ".venv/bin/python"
    assert [process.returncode for process in both] == [0, 0]
    assert [output for output, _ in outputs] == [f"{interpreter}\n"] * 2
    assert "".join(said for _, said in outputs).count("making .venv") == 1

    again = run([setup])
    assert (again.returncode, again.stderr) == (0, "")
    imported = run(
        [interpreter, "-c", "import tfagents_system; print(tfagents_system.__file__)"]
    )
    assert imported.stdout == f"{project}/tfagents_system/__init__.py\n"


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    """A folder, with daemontools' script, of a user who is not root."""
    # Not tmp_path, which is for the eyes of the user who runs the tests.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scripts").mkdir()
        shutil.copy(REPOSITORY / "scripts/install_daemontools.sh", folder / "scripts")
        if os.geteuid() == 0:
            folder.chmod(0o755)
            os.chown(folder, NOBODY, NOBODY)
        yield folder


def install_daemontools_without_root(
    folder: Path, unwanted: str
) -> subprocess.CompletedProcess[str]:
    """Runs the script with a PATH that lacks daemontools, and what is unwanted."""
    path = commands_without(folder / "bin", f"{DAEMONTOOLS}|{unwanted}")
    command: list[str | Path] = [folder / "scripts/install_daemontools.sh"]
    if os.geteuid() == 0:
        user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = ["setpriv", *user, *command]
    return run(command, PATH=str(path), HOME=str(folder))


@pytest.mark.skipif(not shutil.which("apt-get"), reason="not a Debian")
def test_daemontools_without_root(folder_of_nobody: Path) -> None:
    first = install_daemontools_without_root(folder_of_nobody, "sudo")
    assert first.returncode == 0, first.stderr
    programs = folder_of_nobody / ".daemontools/usr/bin"
    assert first.stdout == f"{programs}\n"
    assert run([programs / "svstat", folder_of_nobody]).returncode == 0
    assert {path.name for path in folder_of_nobody.iterdir()} == {
        ".daemontools",
        "bin",
        "scripts",
    }

    shutil.rmtree(folder_of_nobody / "bin")
    second = install_daemontools_without_root(folder_of_nobody, "sudo|apt-get")
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout == first.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv is Linux's")
def test_daemontools_where_nothing_can_install_it(folder_of_nobody: Path) -> None:
    result = install_daemontools_without_root(folder_of_nobody, "sudo|apt-get")
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "install the package daemontools" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv is Linux's")
def test_sudo_does_not_keep_apt_from_the_proxy(folder_of_nobody: Path) -> None:
    path = commands_without(folder_of_nobody / "bin", f"{DAEMONTOOLS}|sudo|apt-get")
    asked = folder_of_nobody / "asked"
    # It clears the environment, as sudo does by default.
    write_program(path / "sudo", f'shift; exec env -i PATH="{path}" "$@"')
    write_program(path / "apt-get", f"env >'{asked}'; exit 1")
    command: list[str | Path] = [
        folder_of_nobody / "scripts/install_daemontools.sh",
    ]
    if os.geteuid() == 0:
        user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = ["setpriv", *user, *command]
    result = run(command, PATH=str(path), http_proxy="http://127.0.0.1:9")
    assert result.returncode == 1
    assert "http_proxy=http://127.0.0.1:9" in asked.read_text().splitlines()
