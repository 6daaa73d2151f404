"""The prepare step, with the user's code in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import PENDULUM_PARAMS, WriteFiles
from tests.host.test_process_tree import is_dead
from tests.small_disk import filled, small_disk
from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.launcher import prepare_step
from tfagents_system.launcher.prepare_step import prepare


def test_nothing_is_started_when_the_prepare_step_refuses(
    experiment: Experiment,
    write_files: WriteFiles,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepare_step, "LOG_PERIOD_SECS", 1000.0)
    params, config = write_files(horizon="long")
    with pytest.raises(UserError, match="nothing was started"):
        prepare(experiment, params, config, os.environ, RunProcesses(experiment))
    output = capfd.readouterr()
    assert output.err.startswith(f"error: {config}: horizon must be ")
    assert output.err.count("\n") == 1
    # For what libraries print.
    assert output.out == (experiment.root / "prepare.log").read_text() == ""


@pytest.mark.parametrize("way", ["sys.exit()", "sys.exit(0)", "os._exit(0)"])
def test_a_params_file_that_ends_the_process_is_refused(
    experiment: Experiment,
    write_files: WriteFiles,
    way: str,
) -> None:
    params, config = write_files(f"import os, sys\n{way}\n")
    with pytest.raises(UserError, match="nothing was started"):
        prepare(experiment, params, config, os.environ, RunProcesses(experiment))
    assert not experiment.params.exists()


def test_a_full_disk_is_not_taken_for_code_that_ends_the_process(
    write_files: WriteFiles, tmp_path: Path
) -> None:
    params, config = write_files()
    mounted = tmp_path / "disk"
    mounted.mkdir()
    with small_disk(mounted, 4) as disk:
        experiment = Experiment(disk / "experiment")
        experiment.make()
        run = RunProcesses(experiment)
        replay_bytes = prepare(experiment, params, config, os.environ, run)
        assert replay_bytes > 0
        with filled(disk):
            again = prepare(experiment, params, config, os.environ, run)
        assert again == replay_bytes


def test_what_the_environment_has_started_ends_with_the_prepare_step(
    experiment: Experiment, run_id: str, write_files: WriteFiles, tmp_path: Path
) -> None:
    simulator = f"setsid sh -c 'echo $$ >>{tmp_path}/simulators; exec sleep 100' &"
    code = f'import subprocess\nsubprocess.run(["sh", "-c", {simulator!r}])\n'
    params, config = write_files(code + PENDULUM_PARAMS)
    run = RunProcesses(experiment, run_id=run_id)
    environment = {**os.environ, "SAC_RUN_ID": run_id}
    prepare(experiment, params, config, environment, run)
    assert experiment.params.exists()
    pids = (tmp_path / "simulators").read_text().split()
    assert pids
    assert all(is_dead(int(pid)) for pid in pids)


def test_what_a_task_has_of_its_own_is_in_the_snapshot(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    params, config = write_files()
    environment = {**os.environ, "SAC_SEED": "5", "SLURM_ARRAY_TASK_ID": "2"}
    prepare(experiment, params, config, environment, RunProcesses(experiment))
    snapshot = json.loads(experiment.config.read_text())
    assert snapshot["train_params"] == {"seed": 7}
