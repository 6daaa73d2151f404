"""run.json: what the launcher decided, as the processes read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tfagents_system.errors import UserError
from tfagents_system.experiment import run_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run, RunService

RUN = Run(
    reverb_port=8000,
    params_folder="/home/me/my params",
    services=(
        RunService("replay_server", (0,), 0),
        RunService("learner", (1, 2), 3),
        RunService("collect_worker_0", (3,), 1),
    ),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    RUN.save(experiment)
    assert Run.load(experiment) == RUN
    assert RUN.names == ["replay_server", "learner", "collect_worker_0"]
    assert RUN.starts_before == {
        "replay_server": 0,
        "learner": 3,
        "collect_worker_0": 1,
    }


def test_a_file_of_the_version_before_is_loaded(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    service = {"name": "learner", "cpus": [1, 2], "starts_before": 3}
    run = {"reverb_port": 8000, "params_folder": "/x y", "services": [service]}
    experiment.run.write_text(json.dumps({**run, "seed": 5}, indent=2))
    assert Run.load(experiment) == Run(
        8000, "/x y", (RunService("learner", (1, 2), 3),)
    )


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "is damaged: "),
        (b"{", "is damaged: "),
        (b'{"reverb_port": "x"}', "is damaged: "),
        (b'{"reverb_port": 8000}', "is damaged: "),
        (b'{"params_folder": "\xff"}', "is damaged: "),
        (None, "cannot read .*: No such file"),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_one_line(
    tmp_path: Path, contents: bytes | None, message: str
) -> None:
    experiment = Experiment(tmp_path)
    if contents is not None:
        experiment.run.write_bytes(contents)
    with pytest.raises(UserError, match=message) as error:
        Run.load(experiment)
    assert str(experiment.run) in str(error.value)
    assert "\n" not in str(error.value)


def test_before_a_run_the_params_file_comes_from_nowhere_else(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    assert run_file.params_folder(experiment) is None
    RUN.save(experiment)
    assert run_file.params_folder(experiment) == Path("/home/me/my params")


def test_the_first_start_of_a_run_is_no_restart(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    starts = experiment.service("learner") / "starts"
    starts.parent.mkdir(parents=True)
    for num_starts, num_restarts in ((0, 0), (3, 0), (4, 0), (5, 1), (7, 3)):
        starts.write_text("1700000000\n" * num_starts)
        assert (
            run_file.num_restarts(RUN.starts_before, experiment, "learner")
            == num_restarts
        )
    # A service that the run does not know had not been started before it.
    assert run_file.num_restarts({}, experiment, "learner") == 6
