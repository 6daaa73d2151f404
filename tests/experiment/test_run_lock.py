"""The lock of a run, with real processes that inherit it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_for
from tfagents_system.errors import UserError
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path)


@pytest.fixture
def launcher(experiment: Experiment) -> Iterator[subprocess.Popen[str]]:
    """Yields a process that has locked launcher.pid, as a launcher does."""
    code = (
        "import fcntl, os, sys, time\n"
        "file = open(sys.argv[1], 'a+')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print(os.getpid(), file=file, flush=True)\n"
        "print('locked', flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(experiment.launcher_pid)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def _has_open(pid: int, path: Path) -> bool:
    descriptors = Path(f"/proc/{pid}/fd").iterdir()
    return any(descriptor.resolve() == path.resolve() for descriptor in descriptors)


def test_nobody_runs_what_was_never_started(experiment: Experiment) -> None:
    assert not run_lock.is_running(experiment)
    assert run_lock.holders(experiment.lock) == []
    assert run_lock.launcher_pid(experiment) is None
    assert list(experiment.root.iterdir()) == []


def test_only_one_has_the_lock(experiment: Experiment) -> None:
    with run_lock.open_lock(experiment) as first:
        # Open is not locked.
        assert not run_lock.is_running(experiment)
        assert run_lock.try_lock(first)
        assert run_lock.try_lock(first)  # It has it already.
        with run_lock.open_lock(experiment) as second:
            assert not run_lock.try_lock(second)
        assert run_lock.is_running(experiment)
    assert not run_lock.is_running(experiment)


def test_a_run_lives_as_long_as_the_last_process_that_inherited_the_lock(
    experiment: Experiment,
) -> None:
    with run_lock.open_lock(experiment) as descriptor:
        assert run_lock.try_lock(descriptor)
        processes = [
            subprocess.Popen(["sleep", "100"], pass_fds=[descriptor]) for _ in range(2)
        ]
        stranger = subprocess.Popen(["sleep", "100"])
    for process in processes:
        # The lock outlives whoever took it, and names those who keep it.
        assert run_lock.is_running(experiment)
        assert process.pid in run_lock.holders(experiment.lock)
        process.kill()
        process.wait()
    assert not run_lock.is_running(experiment)
    assert run_lock.holders(experiment.lock) == []
    stranger.kill()
    stranger.wait()


def test_holders_are_others_than_oneself(experiment: Experiment) -> None:
    with run_lock.open_lock(experiment) as descriptor:
        assert run_lock.try_lock(descriptor)
        assert os.getpid() not in run_lock.holders(experiment.lock)
        assert run_lock.holders(experiment.lock) == []


def test_who_only_reads_the_lock_file_does_not_hold_the_run(
    experiment: Experiment,
) -> None:
    with run_lock.open_lock(experiment) as descriptor:
        assert run_lock.try_lock(descriptor)
        with (
            subprocess.Popen(["tail", "-f", str(experiment.lock)]) as reader,
            subprocess.Popen(["sleep", "100"], pass_fds=[descriptor]) as process,
        ):
            wait_for(lambda: _has_open(reader.pid, experiment.lock))
            assert run_lock.holders(experiment.lock) == [process.pid]
            reader.kill()
            process.kill()


def test_holders_are_found_where_the_directory_was_moved_or_deleted(
    tmp_path: Path,
) -> None:
    experiment = Experiment(tmp_path / "here")
    experiment.make()
    with run_lock.open_lock(experiment) as descriptor:
        assert run_lock.try_lock(descriptor)
        with subprocess.Popen(["sleep", "100"], pass_fds=[descriptor]) as process:
            experiment.root.rename(tmp_path / "there")
            assert run_lock.holders(experiment.lock) == []
            assert run_lock.holders(descriptor) == [process.pid]
            shutil.rmtree(tmp_path / "there")
            assert run_lock.holders(descriptor) == [process.pid]
            process.kill()


def test_a_place_is_left_when_the_directory_is_moved_deleted_or_replaced(
    tmp_path: Path,
) -> None:
    root = tmp_path / "here"
    root.mkdir()
    place = run_lock.Place(root)
    place.check()
    root.rename(tmp_path / "there")
    with pytest.raises(UserError, match="was moved or deleted"):
        place.check()
    root.mkdir()
    assert not place.is_here()  # Another directory of that name.
    root.rmdir()
    (tmp_path / "there").rename(root)
    assert place.is_here()
    root.rmdir()
    assert not place.is_here()
    place.close()


@pytest.mark.parametrize("contents", ["", "not a pid"])
def test_a_launcher_that_has_not_said_its_pid_yet_has_none(
    experiment: Experiment, contents: str
) -> None:
    with experiment.launcher_pid.open("w") as file:
        file.write(contents)
        file.flush()
        assert run_lock.try_lock(file.fileno())
        assert run_lock.launcher_pid(experiment) is None


def test_another_experiments_processes_are_not_of_the_run(tmp_path: Path) -> None:
    experiments = [Experiment(tmp_path / name) for name in ("one", "two")]
    for experiment in experiments:
        experiment.root.mkdir()
    with (
        run_lock.open_lock(experiments[0]) as first,
        run_lock.open_lock(experiments[1]),
    ):
        assert run_lock.try_lock(first)
        with subprocess.Popen(["sleep", "100"], pass_fds=[first]) as process:
            assert run_lock.holders(experiments[0].lock) == [process.pid]
            assert run_lock.holders(experiments[1].lock) == []
            assert not run_lock.is_running(experiments[1])
            process.kill()


def test_a_launcher_has_a_pid_while_it_lives(
    experiment: Experiment, launcher: subprocess.Popen[str]
) -> None:
    assert run_lock.launcher_pid(experiment) == launcher.pid
    launcher.kill()
    launcher.wait()
    wait_for(lambda: run_lock.launcher_pid(experiment) is None)
    assert experiment.launcher_pid.exists()
