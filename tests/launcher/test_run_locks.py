"""The locks of a launcher: no second launch trains beside a first."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.host.test_process_tree import is_dead
from tfagents_system.errors import UserError
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.launcher import run_locks, stop

# Takes an experiment as a launcher, says so, and keeps it until its input ends.
LAUNCHER = """
import sys
from pathlib import Path
from tfagents_system.errors import run_command
from tfagents_system.experiment.directory import Experiment
from tfagents_system.launcher import run_locks

def main():
    with run_locks.exclusive_run(Experiment(Path(sys.argv[1]))) as locks:
        print("ready", flush=True)
        for line in sys.stdin:
            locks.keep()
            print("kept", flush=True)
    return 0

sys.exit(run_command(main))
"""


def start_launcher(experiment: Experiment) -> subprocess.Popen[str]:
    """Starts a launcher that says `ready` if the experiment is its own."""
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(experiment.root)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_refused(experiment: Experiment, pid: int) -> None:
    """Checks that a launcher is refused because of another one."""
    with start_launcher(experiment) as second:
        output, error = second.communicate()
    assert (second.returncode, output) == (2, "")
    assert error == (
        f"error: {experiment.root} is being trained by the launcher with pid {pid}; "
        "see scripts/status.sh, or stop it with scripts/stop_training.sh\n"
    )


def test_a_second_launcher_is_refused_with_the_first_ones_pid(
    experiment: Experiment,
) -> None:
    with start_launcher(experiment) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        assert run_lock.is_running(experiment)
        check_refused(experiment, first.pid)
        first.communicate()
    assert not run_lock.is_running(experiment)
    with start_launcher(experiment) as third:
        assert third.communicate()[0] == "ready\n"
    assert third.returncode == 0


def test_of_two_launches_at_once_one_trains(experiment: Experiment) -> None:
    launchers = [start_launcher(experiment) for _ in range(3)]
    lines = []
    for launcher in launchers:
        assert launcher.stdout is not None
        lines.append(launcher.stdout.readline())
    for launcher in launchers:
        launcher.communicate()
    assert sorted(lines) == ["", "", "ready\n"]
    assert sorted(launcher.returncode for launcher in launchers) == [0, 2, 2]


@pytest.mark.parametrize("names", [["launcher.pid"], ["run.lock", "launcher.pid"]])
def test_deleted_lock_files_let_no_second_launcher_in_and_come_back(
    experiment: Experiment, names: list[str]
) -> None:
    with start_launcher(experiment) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == "ready\n"
        for name in names:
            (experiment.root / name).unlink()
        assert run_lock.is_running(experiment)
        assert run_lock.launcher_pid(experiment) == first.pid
        check_refused(experiment, first.pid)
        for name in names:
            (experiment.root / name).unlink(missing_ok=True)
        first.stdin.write("keep\n")
        first.stdin.flush()
        assert first.stdout.readline() == "kept\n"
        assert experiment.launcher_pid.read_text() == f"{first.pid}\n"
        assert run_lock.holders(experiment.launcher_pid) == [first.pid]
        assert run_lock.holders(experiment.lock) == [first.pid]
        # On another machine only the files can be asked.
        with run_lock.open_lock(experiment) as lock:
            assert not run_lock.try_lock(lock)
        check_refused(experiment, first.pid)
        first.communicate()
    assert not run_lock.is_running(experiment)


def test_a_directory_is_the_same_by_any_path(
    experiment: Experiment, tmp_path: Path
) -> None:
    """As where logs is a symbolic link."""
    (tmp_path / "logs").symlink_to(experiment.root.parent)
    link = Experiment(tmp_path / "logs" / experiment.root.name)
    with start_launcher(link) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        check_refused(experiment, first.pid)
        experiment.launcher_pid.unlink()
        experiment.lock.unlink()
        check_refused(experiment, first.pid)
        check_refused(link, first.pid)
        first.communicate()


def test_what_a_dead_launcher_left_is_found_without_its_lock_file(
    experiment: Experiment,
) -> None:
    with run_lock.open_lock(experiment) as lock:
        assert run_lock.try_lock(lock)
        left = subprocess.Popen(["sleep", "100"], pass_fds=[lock])
    experiment.lock.unlink()
    with run_locks.exclusive_run(experiment):
        assert is_dead(left.pid)
    left.wait()


def test_a_directory_that_is_not_the_same_any_more_is_left(
    experiment: Experiment, tmp_path: Path
) -> None:
    with run_locks.exclusive_run(experiment) as locks:
        locks.keep()
        experiment.root.rename(tmp_path / "moved")
        assert not locks.is_here()
        with pytest.raises(UserError, match="was moved or deleted"):
            locks.keep()
        experiment.make()
        with pytest.raises(UserError, match="was moved or deleted"):
            locks.keep()
        assert list(experiment.root.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path / "missing")
    with (
        pytest.raises(UserError, match=f"^cannot write in {experiment.root}: No such"),
        run_locks.exclusive_run(experiment),
    ):
        pass


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
