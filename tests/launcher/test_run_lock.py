"""The lock of a run, with real processes that inherit it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_for
from tfagents_system.experiment.directory import Experiment
from tfagents_system.launcher import run_lock


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


def test_nobody_runs_what_was_never_started(experiment: Experiment) -> None:
    assert not run_lock.is_running(experiment)
    assert run_lock.lock_holders(experiment) == []
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
        assert process.pid in run_lock.lock_holders(experiment)
        process.kill()
        process.wait()
    assert not run_lock.is_running(experiment)
    assert run_lock.lock_holders(experiment) == []
    stranger.kill()
    stranger.wait()


def test_holders_are_others_than_oneself(experiment: Experiment) -> None:
    with run_lock.open_lock(experiment) as descriptor:
        assert run_lock.try_lock(descriptor)
        assert os.getpid() not in run_lock.lock_holders(experiment)
        assert run_lock.lock_holders(experiment) == []


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
            assert run_lock.lock_holders(experiments[0]) == [process.pid]
            assert run_lock.lock_holders(experiments[1]) == []
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
