"""What the launcher says, though the terminal be gone or the disk full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.launcher.console import say

TALKER = """
from tfagents_system.launcher.console import say
for number in range(3):
    say(f"line {number}")
    say("-" * 100_000)
"""


# Buffered, as it is for a user.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}


def talk(stdout: int) -> subprocess.CompletedProcess[str]:
    """Runs a program that says much, to a descriptor."""
    return subprocess.run(
        [sys.executable, "-u", "-c", TALKER],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_what_is_said_is_there_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    say("one")
    say("two", end="")
    assert capfd.readouterr().out == "one\ntwo"


def test_a_full_disk_does_not_end_the_program() -> None:
    with Path("/dev/full").open("w") as full:
        result = talk(full.fileno())
        plan = subprocess.run(
            [REPOSITORY / "launch_training.sh", "train_minitaur.sh", "--dry-run"],
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stderr) == (0, "")
    assert (plan.returncode, plan.stderr) == (0, "")


def test_a_closed_pipe_does_not_end_the_program() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = talk(write_end)
    os.close(write_end)
    assert (result.returncode, result.stderr) == (0, "")


def test_it_speaks_again_when_there_is_room_again(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    code = """
import resource, signal, sys
from tfagents_system.launcher.console import say
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
say("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
say("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
say("after")
"""
    output = tmp_path / "output"
    with output.open("w") as file:
        subprocess.run(
            [sys.executable, "-u", "-c", code],
            cwd=REPOSITORY,
            env=ENVIRONMENT,
            stdout=file,
            check=True,
        )
    assert output.read_text() == "before\nafter\n"
