"""The locks of a launcher: no second launch trains beside a first."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.launcher import run_locks, stop


def test_a_second_launcher_is_refused_with_the_first_ones_pid(
    experiment: Experiment,
) -> None:
    code = (
        "import pathlib, sys\n"
        "from tfagents_system.errors import run_command\n"
        "from tfagents_system.experiment.directory import Experiment\n"
        "from tfagents_system.launcher import run_locks\n"
        "def main():\n"
        "    with run_locks.exclusive_run(Experiment(pathlib.Path(sys.argv[1]))):\n"
        "        return 0\n"
        "sys.exit(run_command(main))\n"
    )
    command = [sys.executable, "-c", code, str(experiment.root)]
    with run_locks.exclusive_run(experiment):
        assert run_lock.is_running(experiment)
        second = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
    assert second.returncode == 2
    assert second.stderr == (
        f"error: {experiment.root} is being trained by the launcher with pid "
        f"{os.getpid()}; see scripts/status.sh, or stop it with "
        "scripts/stop_training.sh\n"
    )
    assert not run_lock.is_running(experiment)
    third = subprocess.run(command, cwd=REPOSITORY, check=False)
    assert third.returncode == 0


def test_what_a_dead_launcher_left_is_stopped_first(
    experiment: Experiment,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stop, "STOP_GRACE_SECS", 0.2)
    with run_lock.open_lock(experiment) as lock:
        assert run_lock.try_lock(lock)
        left = subprocess.Popen(["sleep", "100"], pass_fds=[lock])
    with run_locks.exclusive_run(experiment) as locks:
        assert run_lock.try_lock(locks.lock)
        assert run_lock.holders(experiment.lock) == []
    assert capsys.readouterr().out == (
        "A launcher died and left processes of this run; stopping them.\n"
    )
    left.wait()


def test_a_look_at_the_lock_is_no_run(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """scripts/status.sh takes the lock for a moment."""
    with run_lock.open_lock(experiment) as descriptor:
        assert run_lock.try_lock(descriptor)
        looking = os.dup(descriptor)
    timer = threading.Timer(0.3, os.close, [looking])
    timer.start()
    with run_locks.exclusive_run(experiment):
        pass
    timer.join()
    assert capsys.readouterr().out == ""
