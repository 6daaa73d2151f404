"""The prepare step, with the user's code in it."""

from __future__ import annotations

import os

import pytest

from tests.conftest import WriteFiles
from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.launcher.prepare_step import prepare
from tfagents_system.launcher.run_processes import RunProcesses


def test_nothing_is_started_when_the_prepare_step_refuses(
    experiment: Experiment,
    write_files: WriteFiles,
    capfd: pytest.CaptureFixture[str],
) -> None:
    params, config = write_files(horizon="long")
    with pytest.raises(UserError, match="nothing was started"):
        prepare(experiment, params, config, os.environ, RunProcesses(experiment))
    output = capfd.readouterr()
    assert output.err.startswith(f"error: {config}: horizon must be ")
    assert output.err.count("\n") == 1
    # For what libraries print.
    assert output.out == (experiment.root / "prepare.log").read_text() == ""
