"""A log directory is this training's alone, and where it was."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.identity import Mode
from tfagents_system.one_process import ownership

# Another process that owns a directory until its stdin ends.
OWNER = """
import sys
from pathlib import Path
from tfagents_system.experiment.directory import Experiment
from tfagents_system.one_process import ownership

with ownership.own(Experiment(Path(sys.argv[1]))):
    print("owned", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path / "runs")


@contextlib.contextmanager
def owned_by_another(experiment: Experiment) -> Iterator[int]:
    """Lets another process own a directory; yields its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(experiment.root)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        yield process.pid


def test_a_directory_is_made_and_claimed(experiment: Experiment) -> None:
    ownership.check_free(experiment)
    assert not experiment.root.exists()
    with ownership.own(experiment) as check:
        check()
        found = identity.check(experiment, Mode.ONE_PROCESS)
        assert found is not None
        assert run_lock.is_running(experiment)
    ownership.check_free(experiment)


def test_one_directory_has_one_training(experiment: Experiment) -> None:
    with owned_by_another(experiment) as pid:
        message = f"another training runs in {experiment.root} \\(pid {pid}\\); stop it"
        with pytest.raises(UserError, match=message):
            ownership.check_free(experiment)
        with pytest.raises(UserError, match=message), ownership.own(experiment):
            pass


def test_the_other_modes_directory_is_left_as_it_is(experiment: Experiment) -> None:
    experiment.make()
    identity.claim(experiment, Mode.MANY_PROCESSES)
    with pytest.raises(UserError, match=r"belongs to launch_training\.sh"):
        ownership.check_free(experiment)
    assert list(experiment.root.iterdir()) == [experiment.identity]


def test_a_directory_that_was_moved_or_deleted_is_not_ours(
    experiment: Experiment,
) -> None:
    with ownership.own(experiment) as check:
        moved = experiment.root.rename(experiment.root.with_name("moved"))
        with pytest.raises(UserError, match=f"^{experiment.root} was moved or deleted"):
            check()
        experiment.make()  # Another one in its place.
        with pytest.raises(UserError, match="was moved or deleted"):
            check()
        experiment.root.rmdir()
        moved.rename(experiment.root)
        check()


def test_a_lock_file_that_is_deleted_is_made_again(experiment: Experiment) -> None:
    with ownership.own(experiment) as check:
        experiment.lock.unlink()
        assert not run_lock.is_running(experiment)
        check()
        assert run_lock.is_running(experiment)
    assert not run_lock.is_running(experiment)


def test_who_lost_its_lock_gives_way_to_the_one_who_took_it(
    experiment: Experiment,
) -> None:
    with ownership.own(experiment) as check:
        experiment.lock.unlink()
        with (
            owned_by_another(experiment) as pid,
            pytest.raises(UserError, match=f"another training .*pid {pid}"),
        ):
            check()


def test_what_cannot_be_written_is_one_line(experiment: Experiment) -> None:
    experiment.root.parent.joinpath("runs").touch()
    message = f"cannot make {experiment.root}: File exists"
    with pytest.raises(UserError, match=message), ownership.own(experiment):
        pass
    experiment.root.unlink()
    experiment.make()
    experiment.lock.symlink_to(experiment.lock)
    message = r"cannot write to .*: Too many.* MB free on"
    with pytest.raises(UserError, match=message), ownership.own(experiment):
        pass
