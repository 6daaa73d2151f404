"""The door: how every process begins and ends, whatever its work is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import WriteFiles
from tests.end_to_end.harness import wait_for
from tests.processes.door import DOOR, begin_run, call, environment, started
from tfagents_system.experiment import status_file
from tfagents_system.experiment.status_file import Awaited, Phase
from tfagents_system.experiment.stopping import STOP_SIGNAL
from tfagents_system.processes.startup import PROCESSES


@pytest.mark.parametrize("arguments", [[], ["teacher"], ["--exp_dir=x"]])
def test_an_unknown_name_gets_one_line_with_the_known_ones(
    arguments: list[str], tmp_path: Path
) -> None:
    result = call(tmp_path, *arguments)
    assert result.returncode != 0
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for name in PROCESSES:
        assert name in line
    for name in arguments:
        assert name in line


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_the_door_lists_the_processes(flag: str, tmp_path: Path) -> None:
    result = call(tmp_path, flag)
    assert result.returncode == 0
    assert result.stderr == ""
    for name in PROCESSES:
        assert name in result.stdout


def test_the_exit_code_is_that_of_the_process_and_a_failure_is_recorded(
    tmp_path: Path,
) -> None:
    result = call(tmp_path, "learner", "--exp_dir=.")
    assert result.returncode == 2
    last_line = result.stderr.splitlines()[-1]
    assert last_line == (
        f"error: cannot read {tmp_path}/run.json: No such file or directory"
    )
    assert "Traceback" not in result.stderr
    assert int((tmp_path / "num_failures").read_text()) == 1


def test_a_stopped_process_ends_well_while_it_waits(
    write_files: WriteFiles,
    pendulum: tuple[Any, Any, Any],
    free_port: int,
    tmp_path: Path,
) -> None:
    experiment = begin_run(tmp_path, write_files(), pendulum[2], free_port)
    folder = tmp_path / "learner"
    with started(folder, "learner", f"--exp_dir={experiment.root}") as learner:
        wait_for(
            lambda: status_file.read_learner(experiment).phase is Phase.WAITING,
            "the learner to wait",
            60,
        )
        status = status_file.read_learner(experiment)
        assert status.waiting_for is Awaited.REPLAY_SERVER
        assert status.pid == learner.pid
        learner.send_signal(STOP_SIGNAL)
        assert learner.wait(20) == 0
    assert not (folder / "num_failures").exists()


def test_a_process_dies_with_its_parent(
    write_files: WriteFiles,
    pendulum: tuple[Any, Any, Any],
    free_port: int,
    tmp_path: Path,
) -> None:
    experiment = begin_run(tmp_path, write_files(), pendulum[2], free_port)
    command = [*DOOR, "replay_server", f"--exp_dir={experiment.root}"]
    code = (
        "import subprocess, sys\n"
        "process = subprocess.Popen(sys.argv[1:])\n"
        "print(process.pid, flush=True)\n"
        "process.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *command],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    process = psutil.Process(int(parent.stdout.readline()))
    try:
        wait_for(
            lambda: status_file.read_replay_server(experiment).phase is Phase.SERVING,
            "the replay server",
            60,
        )
        parent.kill()
        psutil.wait_procs([process], 10)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    finally:
        parent.kill()
        parent.communicate()
        if process.is_running():
            os.kill(process.pid, signal.SIGKILL)
