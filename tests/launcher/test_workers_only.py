"""How a launcher of workers alone finds its training, loses it, and finds it again."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.conftest import write_status
from tests.waiting import wait_for
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.progress import read_progress
from tfagents_system.experiment.run_file import Run, RunService
from tfagents_system.experiment.status_file import Phase
from tfagents_system.launcher import workers_only
from tfagents_system.launcher.workers_only import Training, machine_directory


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and gives up soon; leaves pytest its signals and no orphans."""
    monkeypatch.setattr(workers_only, "adopt_orphans", lambda: None)
    monkeypatch.setattr(workers_only, "shield_from_stop", lambda: None)
    monkeypatch.setattr(workers_only, "POLL_SECS", 0.05)
    monkeypatch.setattr(workers_only, "LOG_PERIOD_SECS", 0.1)
    monkeypatch.setattr(workers_only, "AWAY_SECS", 0.5)


@pytest.fixture
def port() -> Iterator[int]:
    """Yields a port that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def write_run(
    experiment: Experiment, port: int, run_id: str = "r1", host: str = "127.0.0.1"
) -> None:
    """Writes what a training's launcher writes."""
    Run(port, "/params", (), run_id=run_id, public_host=host).save(experiment)


def test_a_training_is_found_by_its_port(experiment: Experiment, port: int) -> None:
    write_run(experiment, port)
    training = Training(experiment)
    assert training.wait()
    assert training.run == Run.load(experiment)
    assert not training.has_another_run()
    experiment.run.unlink()  # A file system that is late.
    assert not training.has_another_run()
    write_run(experiment, port, run_id="r2")
    assert training.has_another_run()


@pytest.mark.parametrize("begun", [False, True])
def test_a_training_that_is_away_is_not_waited_for_for_ever(
    experiment: Experiment,
    free_port: int,
    capsys: pytest.CaptureFixture[str],
    begun: bool,
) -> None:
    if begun:
        write_run(experiment, free_port)
    where = f"127.0.0.1:{free_port}" if begun else "not begun"
    with pytest.raises(UserError, match=rf"no training in .* \({where}\); launch it"):
        Training(experiment).wait()
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith(f"Waiting for the training in {experiment.root} ({where}),")


def test_one_that_does_not_answer_any_more_is_given_up(
    experiment: Experiment, port: int, free_port: int
) -> None:
    write_run(experiment, port)
    training = Training(experiment)
    assert training.wait()
    assert training.run is not None
    training.run = Run(free_port, "", (), run_id="r1", public_host="127.0.0.1")
    with pytest.raises(UserError, match="has not answered for"):
        wait_for(training.has_another_run)


def test_a_complete_training_needs_no_workers(experiment: Experiment) -> None:
    experiment.mark_done(10)
    assert not Training(experiment).wait()


def test_a_private_network_cannot_be_joined(experiment: Experiment, port: int) -> None:
    write_run(experiment, port, host="")
    with pytest.raises(UserError, match="SAC_PRIVATE_NETWORK=1"):
        Training(experiment).wait()


def test_a_machine_has_a_directory_of_its_own(experiment: Experiment) -> None:
    assert machine_directory(experiment, {}).root == experiment.root / "machines/1"
    machine = machine_directory(experiment, {"SAC_MACHINE": "12"})
    assert machine.root.is_dir()
    assert machine.training == machine  # Nothing says that it was begun.
    identity.claim(experiment, identity.Mode.MANY_PROCESSES)
    assert machine.training.root == experiment.root
    assert experiment.training.root == experiment.root
    assert experiment.machine_numbers() == [1, 12]
    with pytest.raises(UserError, match="SAC_MACHINE='0' must be a whole number"):
        machine_directory(experiment, {"SAC_MACHINE": "0"})
    gone = Experiment(experiment.root / "gone")
    with pytest.raises(UserError, match="workers join a training that was begun"):
        machine_directory(gone, {})
    assert not gone.root.exists()


def test_a_number_that_another_machine_has_is_refused(experiment: Experiment) -> None:
    machine = machine_directory(experiment, {})
    worker = RunService("collect_worker_1000", (0,), 0)
    Run(8000, "", (worker,), host="laptop").save(machine)
    write_status(machine, "collect_worker_1000", Phase.COLLECTING)
    write_status(machine, "launcher", Phase.TRAINING)
    with pytest.raises(UserError, match="in use on laptop; set SAC_MACHINE"):
        workers_only.launch_workers(experiment, {})
    experiment.mark_done(10)  # There is nothing to do for those that may join.
    old = time.time() - workers_only.SILENT_SECS
    os.utime(machine.status("collect_worker_1000"), (old, old))
    assert workers_only.launch_workers(experiment, {}) == 0
    write_status(machine, "collect_worker_1000", Phase.COLLECTING)
    write_status(machine, "launcher", Phase.STOPPED)
    assert workers_only.launch_workers(experiment, {}) == 0


def test_a_folder_that_is_called_machines_makes_no_machine(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path / "machines" / "1")
    assert experiment.training == experiment


def test_progress_on_another_machine_is_that_of_the_training(
    experiment: Experiment,
) -> None:
    identity.claim(experiment, identity.Mode.MANY_PROCESSES)
    write_status(experiment, "learner", train_step=7)
    machine = machine_directory(experiment, {})
    assert read_progress(machine, ["collect_worker_1000"]).learner.train_step == 7
