"""Finding the processes of a run, real ones that hide."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.waiting import wait_for
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.host import process_tree

Processes = list["subprocess.Popen[bytes]"]


def start_marked(**environ: str) -> subprocess.Popen[bytes]:
    """Starts a process with such an environment."""
    process = subprocess.Popen(["/bin/sleep", "100"], env=environ)
    wait_for(lambda: process_tree.environ(process.pid) == environ)
    return process


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Yields a list; kills the processes in it."""
    processes: Processes = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_processes_are_found_by_the_id_of_their_run(
    experiment: Experiment, run_id: str, processes: Processes
) -> None:
    root = str(experiment.root)
    dead_run = f"{run_id} of a dead launcher"
    mine = start_marked(SAC_RUN_ID=run_id)
    here = start_marked(SAC_RUN_ID=dead_run, SAC_EXP_DIR=root)
    child = start_marked(SAC_RUN_ID=dead_run)
    other = start_marked(SAC_RUN_ID=f"{run_id} 2", SAC_EXP_DIR=f"{root}2")
    user = start_marked(SAC_EXP_DIR=root)
    processes += [mine, here, child, other, user]
    run = RunProcesses(experiment, run_id=run_id)
    assert run.pids() == {mine.pid, here.pid, child.pid}
    assert run.run_ids == {run_id, dead_run}
    # Known from now on.
    here.kill()
    assert run.pids() == {mine.pid, child.pid}
    run.kill()
    assert run.pids() == set()
    assert other.poll() is None
    assert user.poll() is None


def test_a_directory_is_known_by_any_path(
    experiment: Experiment,
    run_id: str,
    tmp_path: Path,
    processes: Processes,
) -> None:
    link = tmp_path / "link"
    link.symlink_to(experiment.root)
    processes.append(start_marked(SAC_RUN_ID=run_id, SAC_EXP_DIR=str(experiment.root)))
    assert RunProcesses(Experiment(link)).pids() == {processes[0].pid}


def test_a_pid_that_is_used_again_protects_nobody(
    experiment: Experiment, run_id: str, processes: Processes
) -> None:
    """Its process is younger than what the one before it has left."""
    command = 'read pid; exec env -i SAC_RUN_ID="$0" SAC_SERVICE_PID="$pid" sleep 100'
    left = subprocess.Popen(["sh", "-c", command, run_id], stdin=subprocess.PIPE)
    left_at = process_tree.started_at(left.pid)
    processes.append(left)
    while True:
        service = start_marked(SAC_RUN_ID=run_id)
        processes.append(service)
        if process_tree.started_at(service.pid) != left_at:
            break
    assert left.stdin is not None
    left.stdin.write(f"{service.pid}\n".encode())
    left.stdin.close()
    run = RunProcesses(experiment, run_id=run_id)
    wait_for(functools.partial(process_tree.environ, left.pid))
    wait_for(lambda: run.strays() == {left.pid})
    child = start_marked(SAC_RUN_ID=run_id, SAC_SERVICE_PID=str(service.pid))
    processes.append(child)
    assert run.strays() == {left.pid}


def test_a_launcher_finds_those_that_have_cleared_their_environment(
    experiment: Experiment,
) -> None:
    """In a session of their own, adopted by it; its own earlier children stay."""
    code = """
import subprocess, sys
from pathlib import Path
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host import process_tree
from tfagents_system.experiment.run_processes import RunProcesses

process_tree.adopt_orphans()
tee = subprocess.Popen(["sleep", "100"])
experiment = Experiment(Path(sys.argv[1]))
with run_lock.open_lock(experiment) as lock:
    run = RunProcesses(experiment, lock, "of no other process")
    subprocess.run(["sh", "-c", "env -i setsid sh -c 'sleep 99 & exit' & exit"])
    subprocess.run(["sh", "-c", "until pgrep -P $PPID -f 'sleep 99'; do :; done"])
    assert len(run.pids()) == 1, run.pids()
    run.kill()
    assert run.pids() == set()
assert tee.poll() is None
tee.kill()
"""
    result = subprocess.run(
        [sys.executable, "-c", code, experiment.root],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
