"""What to train: flags, params file and JSON, and whose code is run for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WriteFiles
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.identity import Mode
from tfagents_system.one_process import flags, inputs, training

FLAGS = {name: flag.default for name, flag in flags.FLAGS.items()}


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Returns a directory in which a training has begun."""
    experiment = Experiment(tmp_path / "runs")
    experiment.make()
    identity.claim(experiment, Mode.ONE_PROCESS)
    return experiment


def leave_code(experiment: Experiment) -> Path:
    """Leaves a params.py in a directory; returns the file that it makes when run."""
    mark = experiment.root.parent / "was_run"
    experiment.params.write_text(f"open({str(mark)!r}, 'w')\n")
    return mark


def write_kwargs(experiment: Experiment, **kwargs: Any) -> None:
    (experiment.root / "kwargs.json").write_text(json.dumps({**FLAGS, **kwargs}))


def contents(folder: Path) -> dict[str, bytes]:
    """Returns all files of a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in paths}


def test_a_new_training_needs_an_environment(tmp_path: Path) -> None:
    for given in ({}, {"seed": 3}, {"horizon": 5}):
        with pytest.raises(UserError, match=r"^--env or --params is missing: "):
            training.train(tmp_path / "runs", given)
    assert not (tmp_path / "runs").exists()


def test_flag_params_of_ones_own_need_an_environment(tmp_path: Path) -> None:
    path = tmp_path / "my_sac.py"
    path.write_text(inputs.FLAG_PARAMS_FILE)
    with pytest.raises(UserError, match="--env is missing: "):
        training.train(tmp_path / "runs", {"params": str(path)})
    assert not (tmp_path / "runs").exists()


def test_a_refusal_runs_no_code_of_the_directory_and_writes_nothing(
    experiment: Experiment,
) -> None:
    mark = leave_code(experiment)
    write_kwargs(experiment, env="Pendulum-v1")
    before = contents(experiment.root)
    with pytest.raises(UserError, match=r"--tau is 0\.5, but"):
        training.train(experiment.root, {"tau": 0.5})
    experiment.identity.unlink()
    experiment.specs.touch()
    (experiment.root / "kwargs.json").rename(experiment.run)
    for given in ({}, {"env": "Pendulum-v1"}):
        with pytest.raises(UserError, match=r"belongs to launch_training\.sh"):
            training.train(experiment.root, given)
    assert not mark.exists()
    assert len(contents(experiment.root)) == len(before)


def test_flags_that_are_gone_are_not_replaced_by_defaults(
    experiment: Experiment,
) -> None:
    identity.note_checkpoint(experiment)
    mark = leave_code(experiment)
    with pytest.raises(UserError, match=r"kwargs\.json is gone; put a copy back"):
        training.train(experiment.root, {"env": "Pendulum-v1"})
    assert not mark.exists()


def test_a_named_params_file_wins_over_the_one_in_the_directory(
    experiment: Experiment,
    write_files: WriteFiles,
    capsys: pytest.CaptureFixture[str],
) -> None:
    params, _ = write_files()
    moved = params.rename(params.with_name("moved.py"))
    mark = leave_code(experiment)
    code = experiment.params.read_bytes()
    write_kwargs(experiment, params=str(params), env_config={"horizon": 200})
    given = {"params": str(moved), "horizon": 200}
    saved = {**inputs.read_saved(experiment), "horizon": 200}
    inputs.check_flags(given, saved)
    chosen = inputs.read(experiment, given, saved)
    assert chosen.params_path == moved
    assert not mark.exists()
    inputs.write(experiment, chosen, chosen.params)
    assert experiment.params.read_bytes() == moved.read_bytes()
    (kept,) = experiment.root.glob("params_before_*.py")
    assert kept.read_bytes() == code
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith(f"note: {moved} differs from {experiment.params}; --params")
    # Unnamed, the copy counts again; the same file named again is no difference.
    assert inputs.read(experiment, {}, saved).params_path == experiment.params
    inputs.write(experiment, chosen, chosen.params)
    assert capsys.readouterr().err == ""
