"""What is made before the services of a run start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.launcher.conftest import write_script, write_status
from tfagents_system.experiment import status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run
from tfagents_system.experiment.status_file import Phase
from tfagents_system.launcher import begin_run, daemontools, launch
from tfagents_system.launcher.topology import Service


@pytest.fixture
def planned(experiment: Experiment) -> list[Service]:
    """Returns the services of a run with two workers."""
    variables = {"SAC_NUM_COLLECT_WORKERS": "2", "SAC_EXP_DIR": str(experiment.root)}
    return launch.plan_services(variables, port=8000)


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """Returns where the params file of a user would be."""
    return tmp_path / "somewhere" / "params.py"


def write_run(
    experiment: Experiment,
    planned: Sequence[Service],
    port: int,
    params: Path,
    run_id: str,
) -> None:
    """Writes a run as the launcher does that was given these params."""
    begin_run.write_run(
        experiment,
        planned,
        reverb_port=port,
        params_folder=launch.params_folder(experiment, params),
        run_id=run_id,
    )


def test_a_run_is_written_for_its_processes(
    experiment: Experiment, planned: list[Service], params: Path
) -> None:
    write_run(experiment, planned, 8000, params, "r1")
    run = Run.load(experiment)
    assert run.names == [service.name for service in planned]
    assert (run.reverb_port, run.params_folder) == (8000, str(params.parent))
    assert run.run_id == "r1"
    assert set(run.starts_before.values()) == {0}
    for service in planned:
        folder = experiment.service(service.name)
        assert (folder / "run").exists()
        assert (folder / "log" / "run").exists()
    # A process has written nothing yet, and nothing is made up for it.
    assert not experiment.status("learner").exists()


def test_the_next_run_begins_where_the_last_one_ended(
    experiment: Experiment, planned: list[Service], params: Path
) -> None:
    write_run(experiment, planned, 8000, params, "r1")
    (experiment.service("learner") / "num_starts").write_text("3\n")
    write_status(experiment, "learner", Phase.FINISHED, train_step=150)
    # Fewer workers, and the snapshot itself is launched.
    planned = planned[:-1]
    write_run(experiment, planned, 8001, experiment.params, "r2")
    run = Run.load(experiment)
    assert (run.reverb_port, run.params_folder) == (8001, str(params.parent))
    assert run.starts_before["learner"] == 3
    assert not experiment.service("collect_worker_1").exists()
    learner = status_file.read_learner(experiment)
    assert (learner.phase, learner.train_step) == (Phase.NOT_STARTED, 150)


def test_a_snapshot_that_never_was_a_copy_is_its_own_original(
    experiment: Experiment,
) -> None:
    write_run(experiment, [], 8000, experiment.params, "r1")
    assert Run.load(experiment).params_folder == str(experiment.root)


def test_processes_find_the_package_and_daemontools_and_no_proxy(
    tmp_path: Path,
) -> None:
    write_script(tmp_path / "supervise", "exit 1")
    given = {
        "PATH": str(tmp_path),
        "PYTHONPATH": "/mine",
        "http_proxy": "http://proxy:80",
        "SAC_EXP_NAME": "x",
    }
    made = begin_run.make_environment(given, Experiment(tmp_path / "exp"), "r1")
    assert made["PYTHONPATH"] == f"{REPOSITORY}:/mine"
    assert made["PATH"] == daemontools.daemontools_path(given)
    assert "localhost" in made["no_proxy"]
    assert {name: made[name] for name in ("http_proxy", "SAC_EXP_NAME")} == {
        "http_proxy": "http://proxy:80",
        "SAC_EXP_NAME": "x",
    }
    assert (made["SAC_EXP_DIR"], made["SAC_RUN_ID"]) == (f"{tmp_path}/exp", "r1")
    del given["PYTHONPATH"]
    made = begin_run.make_environment(given, Experiment(tmp_path), "r1")
    assert made["PYTHONPATH"] == str(REPOSITORY)
    made = begin_run.make_environment(given, Experiment(tmp_path), "r1", "node7")
    assert made["no_proxy"].endswith("localhost,127.0.0.1,::1,node7")
