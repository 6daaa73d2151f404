"""The signs that a checkpoint is being written."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.launcher.conftest import write_status
from tests.waiting import wait_for
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import Phase
from tfagents_system.launcher import checkpoint_activity
from tfagents_system.launcher.checkpoint_activity import CheckpointActivity


def is_quiet(activity: CheckpointActivity) -> bool:
    return not activity.goes_on()


def test_a_checkpoint_goes_on_while_its_files_change(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_activity, "QUIET_SECS", 0.2)
    activity = CheckpointActivity(experiment)
    assert activity.goes_on()
    wait_for(lambda: is_quiet(activity))
    for folder in (experiment.checkpoints / "partial", experiment.replay / "new"):
        folder.mkdir(parents=True)
        assert activity.goes_on()
        for contents in ("a", "ab", "abc"):
            (folder / "file").write_text(contents)
            assert activity.goes_on()
        wait_for(lambda: is_quiet(activity))
        (folder / "file").unlink()
        assert activity.goes_on()


def test_a_learner_that_reads_checks_its_files(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_activity, "QUIET_SECS", 0.2)
    with subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as learner:
        write_status(experiment, "learner", Phase.CHECKPOINTING, pid=learner.pid)
        activity = CheckpointActivity(experiment)
        wait_for(lambda: is_quiet(activity))
        assert learner.stdin is not None
        os.write(learner.stdin.fileno(), b"what it reads")
        wait_for(activity.goes_on)
        wait_for(lambda: is_quiet(activity))
