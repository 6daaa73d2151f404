"""What an environment starts ends with its training, however it hides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.host.test_process_tree import is_dead
from tests.waiting import wait_for
from tfagents_system.experiment.directory import Experiment
from tfagents_system.one_process import children

# A training whose environment starts a program, one in a session whose parent has
# ended, and a fork. It prints their pids, and ends or is killed.
TRAINING = """
import os, signal, subprocess, sys, time
from pathlib import Path
from tfagents_system.experiment.directory import Experiment
from tfagents_system.one_process import children

other = subprocess.Popen(["sleep", "100"], stdout=subprocess.DEVNULL)
with children.ended_with_training(Experiment(Path(sys.argv[1]))):
    # It has something to clear up.
    clear_up = "trap 'touch $0; exit' TERM; echo; while :; do sleep 0.1; done"
    program = subprocess.Popen(
        ["sh", "-c", clear_up, f"{sys.argv[1]}_cleared"], stdout=subprocess.PIPE
    )
    program.stdout.readline()
    command = ["sh", "-c", "setsid sleep 100 >/dev/null & echo $!"]
    hidden = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip()
    fork = os.fork()
    if fork == 0:
        os.close(1)
        time.sleep(100)
        os._exit(0)
    print(other.pid, program.pid, hidden, fork, flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
assert "SAC_RUN_ID" not in os.environ
"""


def train(experiment: Experiment, end: str) -> list[int]:
    """Trains; returns the pids of what was started before, and by the environment."""
    result = subprocess.run(
        [sys.executable, "-c", TRAINING, experiment.root, end],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=end == "ended",
    )
    return [int(pid) for pid in result.stdout.split()]


def kill(pids: list[int]) -> None:
    """Kills what a test has seen living."""
    for pid in pids:
        assert not is_dead(pid)
        subprocess.run(["kill", "-9", str(pid)], check=True)


def test_all_that_it_started_ends_and_nothing_else(tmp_path: Path) -> None:
    other, *started = train(Experiment(tmp_path / "runs"), "ended")
    wait_for(lambda: all(map(is_dead, started)))
    assert (tmp_path / "runs_cleared").exists()
    kill([other])


def test_what_a_killed_training_has_left_ends_with_the_next(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path / "runs")
    other, program, hidden, fork = train(experiment, "killed")
    with children.ended_with_training(Experiment(tmp_path / "runs of another")):
        assert not is_dead(program)
    with children.ended_with_training(experiment):
        assert is_dead(program)
        assert is_dead(hidden)
    kill([other, fork])  # They have no mark.
