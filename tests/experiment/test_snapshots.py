"""The snapshots of params file and JSON: an experiment keeps what it began with."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from tests.conftest import PENDULUM_PARAMS, WriteFiles
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, snapshots
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "exp").mkdir()
    return Experiment(tmp_path / "exp")


def test_without_a_snapshot_the_original_is_chosen(
    experiment: Experiment,
    write_files: WriteFiles,
    capsys: pytest.CaptureFixture[str],
) -> None:
    params, config = write_files()
    assert snapshots.choose_params(experiment, params) == params
    assert snapshots.choose_config(experiment, config) == config
    assert capsys.readouterr().err == ""


def test_without_either_it_is_one_line(experiment: Experiment) -> None:
    nowhere = experiment.root / "nowhere"
    with pytest.raises(UserError, match=f"^SAC_PARAMS: no file {nowhere}$"):
        snapshots.choose_params(experiment, nowhere)
    with pytest.raises(UserError, match=f"^SAC_CONFIG: no file {nowhere}$"):
        snapshots.choose_config(experiment, nowhere)
    with pytest.raises(UserError, match=f"^--config: no file {nowhere}$"):
        snapshots.choose_config(experiment, nowhere, "--config")


def test_the_snapshot_is_chosen_and_a_difference_is_said(
    experiment: Experiment,
    write_files: WriteFiles,
    capsys: pytest.CaptureFixture[str],
) -> None:
    params, config = write_files()
    snapshots.write_params(experiment, params)
    snapshots.write_config(experiment, config, 200)
    assert snapshots.choose_params(experiment, params) == experiment.params
    assert snapshots.choose_config(experiment, config) == experiment.config
    assert capsys.readouterr().err == ""
    params.write_text(PENDULUM_PARAMS.replace("(16,)", "(8,)"))
    config.write_text('{"horizon": 100}')
    assert snapshots.choose_params(experiment, params) == experiment.params
    assert snapshots.choose_config(experiment, config) == experiment.config
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"note: {params} differs from the snapshot ")
    assert lines[1].startswith(f"note: {config} differs from the snapshot ")
    # What is gone is not different.
    params.unlink()
    config.unlink()
    assert snapshots.choose_params(experiment, params) == experiment.params
    assert snapshots.choose_config(experiment, config) == experiment.config
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("original", "is_same"),
    [
        ('{"mine": 1}', True),
        ('{"mine": 1,\n "horizon": 200}', True),
        ('{"mine": 1, "horizon": 100}', False),
        ('{"mine": 2}', False),
        ('{"mine": 1.0}', False),
        ('{"mine": true}', False),
        ("{", False),
        ("[]", False),
    ],
)
def test_only_a_horizon_of_the_snapshot_is_no_difference(
    experiment: Experiment,
    capsys: pytest.CaptureFixture[str],
    original: str,
    is_same: bool,
) -> None:
    experiment.config.write_text('{"horizon": 200, "mine": 1}')
    config = experiment.root.parent / "my_config.json"
    config.write_text(original)
    snapshots.choose_config(experiment, config)
    assert ("differs" not in capsys.readouterr().err) == is_same


def test_a_horizon_that_only_the_original_has_is_a_difference(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.config.write_text('{"mine": 1}')
    config = experiment.root.parent / "my_config.json"
    config.write_text('{"mine": 1, "horizon": 100}')
    snapshots.choose_config(experiment, config)
    assert "differs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("original", "is_same"),
    [
        ('{"mine": 1}', True),
        ('{"mine": 1, "flags": {"seed": 5}}', True),
        ('{"mine": 1, "flags": {"seed": 6}}', True),
        ('{"flags": {"seed": 5}}', False),
    ],
)
def test_keys_that_the_framework_adds_are_no_difference(
    experiment: Experiment,
    capsys: pytest.CaptureFixture[str],
    original: str,
    is_same: bool,
) -> None:
    experiment.config.write_text('{"mine": 1, "flags": {"seed": 5}}')
    config = experiment.root.parent / "my_config.json"
    config.write_text(original)
    snapshots.choose_config(experiment, config, added={"flags"})
    assert ("differs" not in capsys.readouterr().err) == is_same


def test_the_snapshot_of_a_json_has_a_horizon(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    _, config = write_files(horizon=None, mine=[1.0])
    given = config.read_text()
    snapshots.write_config(experiment, config, 200)
    assert json.loads(experiment.config.read_text()) == {"mine": [1.0], "horizon": 200}
    assert config.read_text() == given
    # One that has a horizon is copied to the letter.
    experiment.config.unlink()
    config.write_text('{"horizon":5 ,  "mine": 1e0}')
    snapshots.write_config(experiment, config, 200)
    assert experiment.config.read_text() == config.read_text()


def test_snapshots_that_are_there_stay_as_they_are(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    experiment.params.write_text("# Edited.\n")
    experiment.config.write_text('{"horizon": 7}')
    params, config = write_files()
    snapshots.write_params(experiment, params)
    snapshots.write_config(experiment, config, 200)
    snapshots.write_config(experiment, experiment.config, 200)
    assert experiment.params.read_text() == "# Edited.\n"
    assert experiment.config.read_text() == '{"horizon": 7}'


def test_an_empty_snapshot_is_written_again_until_there_is_a_checkpoint(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    params, config = write_files()
    identity.claim(experiment, identity.Mode.MANY_PROCESSES)
    for _ in range(2):
        experiment.params.write_text("")
        experiment.config.write_text("")
        assert snapshots.choose_params(experiment, params) == params
        assert snapshots.choose_config(experiment, config) == config
        snapshots.write_params(experiment, params)
        snapshots.write_config(experiment, config, 200)
        assert experiment.params.read_bytes() == params.read_bytes()
        assert experiment.config.read_bytes() == config.read_bytes()
    identity.note_checkpoint(experiment)
    experiment.params.write_text("")
    assert snapshots.choose_params(experiment, params) == experiment.params
    snapshots.write_params(experiment, params)
    assert experiment.params.read_text() == ""


def test_a_full_disk_leaves_no_half_snapshot(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    params, config = write_files()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            snapshots.write_params(experiment, params)
        with pytest.raises(OSError, match="File too large"):
            snapshots.write_config(experiment, config, 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(experiment.root.iterdir()) == []


def test_a_snapshot_that_was_edited_gets_the_environments_horizon(
    experiment: Experiment,
) -> None:
    experiment.config.write_text('{"mine": 1}')
    snapshots.write_config(experiment, experiment.config, 200)
    assert json.loads(experiment.config.read_text()) == {"mine": 1, "horizon": 200}


def test_params_are_loaded_from_the_snapshots(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    params, config = write_files(train_params={"discount": 0.5})
    (params.parent / "my_layers.py").write_text("LAYERS = (9,)\n")
    text = PENDULUM_PARAMS.replace("(16,)", "my_layers.LAYERS")
    params.write_text(f"import my_layers\n{text}")
    snapshots.write_params(experiment, params)
    snapshots.write_config(experiment, config, 200)
    # What it imports lies beside the original.
    Run(reverb_port=8000, params_folder=str(params.parent), services=()).save(
        experiment
    )
    params.unlink()
    config.unlink()
    loaded = snapshots.load(experiment)
    assert (loaded.discount, loaded.actor_fc_layer_params) == (0.5, (9,))
    assert loaded.env_config["horizon"] == 200


def test_a_snapshot_that_does_not_load_is_one_line(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    with pytest.raises(UserError, match=f"cannot read {experiment.config}"):
        snapshots.load(experiment)
    params, config = write_files()
    snapshots.write_params(experiment, params)
    snapshots.write_config(experiment, config, 200)
    experiment.params.write_text("x = (\n")
    with pytest.raises(UserError, match=f"cannot load {experiment.params}:1: Syntax"):
        snapshots.load(experiment)


def test_what_wins_over_the_json_is_in_its_snapshot(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.root.parent / "my_config.json"
    config.write_text('{"horizon": 200, "train_params": {"num_iter": 5, "seed": 1}}')
    won = {"seed": 8}
    snapshots.write_config(experiment, config, 200, won)
    snapshot = json.loads(experiment.config.read_text())
    assert snapshot["train_params"] == {"num_iter": 5, "seed": 8}
    # From now on the snapshot counts.
    assert snapshots.choose_config(experiment, config, train_params=won) == (
        experiment.config
    )
    assert capsys.readouterr().err == ""
    other = {"seed": 9}
    source = snapshots.choose_config(experiment, config, train_params=other)
    assert "differs" in capsys.readouterr().err
    assert snapshots.load_config(experiment, source, other) == snapshot


@pytest.mark.parametrize("train_params", ["[1]", "5", '{"discont": 1}'])
def test_an_original_that_is_wrong_by_now_is_only_a_difference(
    experiment: Experiment, capsys: pytest.CaptureFixture[str], train_params: str
) -> None:
    experiment.config.write_text('{"horizon": 200}')
    config = experiment.root.parent / "my_config.json"
    config.write_text(f'{{"horizon": 200, "train_params": {train_params}}}')
    source = snapshots.choose_config(experiment, config, train_params={"seed": 1})
    assert source == experiment.config
    assert "differs" in capsys.readouterr().err
