"""What scripts/status.sh prints, and scripts/stop_training.sh does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.launcher.conftest import (
    SLEEP,
    StartServices,
    start,
    write_status,
)
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run, RunService
from tfagents_system.experiment.status_file import Awaited, Phase
from tfagents_system.launcher import daemontools, status, stop
from tfagents_system.launcher.run_locks import RunLocks
from tfagents_system.launcher.slurm_job import JobRecord


def write_run(experiment: Experiment, *names: str) -> None:
    services = tuple(RunService(name, (0,), 0) for name in names)
    Run(reverb_port=8000, params_folder="/", services=services).save(experiment)


def printed(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Returns the lines of the status."""
    status.print_status(experiment)
    return capsys.readouterr().out.splitlines()


def test_a_run_that_is_over_is_stopped_or_complete(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(experiment, "learner", "collect_worker_0")
    write_status(experiment, "learner", Phase.STOPPED, train_step=150, num_iter=10)
    for _ in range(3):
        start(experiment, "learner")
    title, progress, *services = printed(experiment, capsys)
    assert title == f"{experiment.root}: stopped"
    assert progress.startswith("stopped | iteration 0/10 | ")
    assert "| restarts 2 |" in progress
    assert [service.rstrip() for service in services] == [
        "  learner           down          restarts 2",
        "  collect_worker_0  down          restarts 0",
    ]
    experiment.mark_done(150)
    assert printed(experiment, capsys)[0] == f"{experiment.root}: complete"


def test_a_run_that_is_alive_has_pids_and_says_what_it_does(
    experiment: Experiment,
    locks: RunLocks,
    start_services: StartServices,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ("replay_server", "learner", "collect_worker_0", "collect_worker_1")
    write_run(experiment, *names)
    since = time.time() - 60
    write_status(
        experiment,
        "learner",
        Phase.WAITING,
        waiting_for=Awaited.WARM_UP.value,
        phase_since=since,
        num_rows=5,
        min_rows=10,
    )
    write_status(
        experiment,
        "collect_worker_0",
        Phase.COLLECTING,
        phase_since=since,
        curriculum={"mass": 0.5},
    )
    experiment.status("collect_worker_1").write_text("{")
    start_services(**dict.fromkeys(names, SLEEP))
    locks.close()
    title, _, *lines = printed(experiment, capsys)
    assert title == f"{experiment.root}: running without launcher"
    pids = {name: daemontools.pid_of(experiment, name) for name in names}
    replay_server, learner, worker_0, curriculum, worker_1 = lines
    for name, line in zip(names, (replay_server, learner, worker_0, worker_1)):
        assert line.split()[:3] == [name, "pid", str(pids[name])]
    assert replay_server.endswith("  not started")
    assert "  waiting for the first experience (5 of 10 rows) for 6" in learner
    assert "  collecting for 6" in worker_0
    assert curriculum.strip() == "curriculum: {'mass': 0.5}"
    assert worker_1.endswith("  unknown")


def test_a_run_without_launcher_is_stopped_directly(
    experiment: Experiment,
    locks: RunLocks,
    start_services: StartServices,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start_services(collect_worker_0=SLEEP)
    locks.close()  # The launcher is gone.
    status.stop_run(experiment)
    assert capsys.readouterr().out == "Stopped. Nothing of this run is left.\n"
    assert run_lock.holders(experiment.lock) == []


def test_a_run_is_stopped_by_its_launcher(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import pathlib, signal, sys\n"
        "from tfagents_system.experiment.directory import Experiment\n"
        "from tfagents_system.launcher import run_locks\n"
        "with run_locks.exclusive_run(Experiment(pathlib.Path(sys.argv[1]))):\n"
        "    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "    print('ready', flush=True)\n"
        "    signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(experiment.root)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        write_run(experiment, "learner")
        title = printed(experiment, capsys)[0]
        assert title == f"{experiment.root}: running, launcher pid {launcher.pid}"
        status.stop_run(experiment)
        assert launcher.wait() == 128 + signal.SIGTERM
    assert capsys.readouterr().out == (
        f"Asked the launcher (pid {launcher.pid}) to stop.\n"
        "Stopped. Nothing of this run is left.\n"
    )
    assert not run_lock.is_running(experiment)


def test_an_experiment_is_found_by_its_directory_or_by_the_variables(
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["status", "status", str(experiment.root)])
    with pytest.raises(UserError, match=f"^no run in {experiment.root}$"):
        status.main()
    write_run(experiment, "learner")
    assert status.main() == 0
    by_directory = capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["status", "status"])
    monkeypatch.setitem(os.environ, "SAC_EXP_DIR", str(experiment.root))
    assert status.main() == 0
    assert capsys.readouterr().out == by_directory
    monkeypatch.setattr(sys, "argv", ["status", "stop"])
    assert status.main() == 0
    assert capsys.readouterr().out == "Stopped. Nothing of this run is left.\n"


def test_a_run_without_run_json_has_a_status_and_can_be_stopped(
    experiment: Experiment,
    locks: RunLocks,
    start_services: StartServices,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As while the first prepare step runs, or where somebody deletes it."""
    identity.claim(experiment, identity.Mode.MANY_PROCESSES)
    start_services(learner=SLEEP)
    locks.close()
    (line,) = printed(experiment, capsys)
    assert line == (
        f"{experiment.root}: running without launcher, not started; more is not known "
        f"(cannot read {experiment.run}: No such file or directory)"
    )
    experiment.run.write_text("{")
    (line,) = printed(experiment, capsys)
    assert f"more is not known ({experiment.run} is damaged: " in line
    experiment.run.unlink()
    status.stop_run(experiment)
    assert capsys.readouterr().out == "Stopped. Nothing of this run is left.\n"
    assert not run_lock.is_running(experiment)
    with pytest.raises(UserError, match="no run in "):
        status.print_status(experiment)
    with pytest.raises(UserError, match="no run in "):
        status.stop_run(experiment)


@pytest.mark.parametrize("is_old_name", [True, False])
def test_a_run_whose_directory_was_moved_is_stopped_by_both_its_names(
    experiment: Experiment,
    locks: RunLocks,
    start_services: StartServices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_old_name: bool,
) -> None:
    monkeypatch.setattr(stop, "STOP_GRACE_SECS", 0.2)
    start_services(learner=f"exec env SAC_EXP_DIR='{experiment.root}' sleep 100")
    locks.close()
    moved = Experiment(tmp_path / "moved")
    experiment.root.rename(moved.root)
    status.stop_run(experiment if is_old_name else moved)
    assert not run_lock.is_running(moved)
    assert not experiment.root.exists()


def test_a_training_in_one_process_is_not_this_ones_to_stop(
    experiment: Experiment,
) -> None:
    (experiment.root / "kwargs.json").write_text("{}")
    with run_lock.open_lock(experiment) as lock:
        assert run_lock.try_lock(lock)
        with subprocess.Popen(["sleep", "100"], pass_fds=[lock]) as training:
            for act in (status.stop_run, status.print_status):
                with pytest.raises(UserError, match="belongs to sac-train"):
                    act(experiment)
            assert training.poll() is None
            training.kill()


def test_a_run_on_another_machine_is_not_called_stopped(
    experiment: Experiment, locks: RunLocks
) -> None:
    """Its lock is held, by nobody here; this process does not count itself."""
    assert run_lock.try_lock(locks.lock)
    write_run(experiment, "learner")
    with pytest.raises(UserError, match="in use on another machine; stop it there"):
        status.stop_run(experiment)


def test_from_another_machine_the_files_tell(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from the login node of a cluster."""
    names = ("learner", "collect_worker_0")
    services = tuple(RunService(name, (0,), 0) for name in names)
    Run(8000, "/params", services, host="node7").save(experiment)
    JobRecord("12", "node7", num_restarts=1, ended_by="time limit").save(experiment)
    write_status(experiment, "launcher", Phase.TRAINING)
    write_status(experiment, "learner", Phase.TRAINING, phase_since=time.time() - 5)
    write_status(experiment, "collect_worker_0", Phase.COLLECTING)
    old = time.time() - 100
    os.utime(experiment.status("collect_worker_0"), (old, old))
    title, job, _, learner, worker = printed(experiment, capsys)
    assert title == f"{experiment.root}: on node7"
    assert job == "SLURM job 12 on node7, restart 1 (time limit)"
    assert learner == "  learner           training for 5 s"
    assert worker.startswith("  collect_worker_0  collecting, last heard of 100 s ago")
    with pytest.raises(
        UserError, match=r"in use on node7; stop it there, or with scancel 12$"
    ):
        status.stop_run(experiment)
    write_status(experiment, "launcher", Phase.STOPPED)
    status.stop_run(experiment)
    assert "Nothing of this run is left" in capsys.readouterr().out


def test_workers_that_have_joined_are_shown(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(experiment, "learner")
    machine = experiment.machine(2)
    experiment.make_folder(machine.root)
    worker = RunService("collect_worker_2000", (0,), 0)
    Run(8000, "/params", (worker,), host="node7").save(machine)
    write_status(machine, "collect_worker_2000", Phase.COLLECTING)
    experiment.make_folder(experiment.machine(3).root)  # It has not joined yet.
    *_, title, line = printed(experiment, capsys)
    assert (title, line) == ("machine 2, node7:", "  collect_worker_2000  collecting")


def test_a_reader_that_has_read_enough_is_no_error(experiment: Experiment) -> None:
    write_run(experiment, "learner")
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [REPOSITORY / "scripts" / "status.sh", experiment.root],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert result.stderr == ""
    assert result.returncode in (-signal.SIGPIPE, 128 + signal.SIGPIPE)
