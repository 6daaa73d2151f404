"""The flags of the processes, through their door: answers come before the imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes.door import call
from tfagents_system.processes.startup import PROCESSES

# The flags of each process.
FLAGS = {
    "replay_server": {"--exp_dir"},
    "learner": {"--exp_dir"},
    "collect_worker": {"--exp_dir", "--worker"},
    "prepare": {"--exp_dir", "--params", "--config"},
}


@pytest.mark.parametrize("name", FLAGS)
def test_help_of_a_process_lists_its_flags_and_nothing_else_happens(
    name: str, tmp_path: Path
) -> None:
    result = call(tmp_path, name, "--help")
    assert result.returncode == 0
    assert result.stderr == ""
    words = set(result.stdout.replace(":", " ").split())
    assert words & set().union(*FLAGS.values()) == FLAGS[name]
    assert list(tmp_path.iterdir()) == []


def test_every_process_has_flags() -> None:
    assert FLAGS.keys() == PROCESSES.keys()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["learner", "--exp_dir=.", "--speed=2"], "speed"),
        (["learner", "--exp_dir=.", "speed"], "speed"),
        (["prepare", "--exp_dir=.", "--params=x"], "--config"),
        (["collect_worker", "--exp_dir=."], "--worker"),
        (["collect_worker", "--exp_dir=.", "--worker=-1"], "--worker"),
    ],
)
def test_a_wrong_or_missing_flag_is_named(
    arguments: list[str], named: str, tmp_path: Path
) -> None:
    result = call(tmp_path, *arguments)
    assert result.returncode != 0
    assert result.stdout == ""
    assert named in result.stderr
    assert "Traceback" not in result.stderr
