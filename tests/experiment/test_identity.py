"""Whose an experiment directory is: nobody writes into another's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tfagents_system.errors import UserError
from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.identity import LAYOUT, Identity, Mode

MANY, ONE = Mode.MANY_PROCESSES, Mode.ONE_PROCESS
CHECKPOINTS = "train/checkpoints"


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path / "experiment")


def read(experiment: Experiment) -> Any:
    return json.loads(experiment.identity.read_text())


@pytest.mark.parametrize("mode", Mode)
def test_a_new_directory_is_claimed_once(experiment: Experiment, mode: Mode) -> None:
    assert identity.check(experiment, mode) is None
    assert not experiment.root.exists()  # A check writes nothing.
    experiment.make()
    assert identity.check(experiment, mode) is None
    identity.claim(experiment, mode)
    said = {"mode": mode.value, "layout": LAYOUT, "has_checkpoint": False}
    assert read(experiment) == said
    identity.claim(experiment, mode)
    assert read(experiment) == said
    assert identity.check(experiment, mode) == Identity(mode)


@pytest.mark.parametrize(("mode", "other"), [(MANY, ONE), (ONE, MANY)])
def test_the_other_modes_directory_is_refused(
    experiment: Experiment, mode: Mode, other: Mode
) -> None:
    experiment.make()
    identity.claim(experiment, other)
    before = experiment.identity.read_bytes()
    for refuse in (identity.check, identity.claim):
        with pytest.raises(UserError, match=f"belongs to .*{other.value}"):
            refuse(experiment, mode)
    assert [path.name for path in experiment.root.iterdir()] == ["experiment.json"]
    assert experiment.identity.read_bytes() == before


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["kwargs.json", "params.py"], Identity(ONE, 1, False)),
        (["kwargs.json", "ckpt-10.json"], Identity(ONE, 1, True)),
        (["run.json", "params.py"], Identity(MANY, 1, False)),
        (
            ["run.json", "train/checkpoints/generation_0000000010"],
            Identity(MANY, 1, True),
        ),
        (
            ["run.json", "train/checkpoints/damaged_generation_1"],
            Identity(MANY, 1, True),
        ),
        (["specs.pbtxt"], Identity(MANY, 1, False)),
    ],
)
def test_a_directory_from_before_is_recognized_and_claimed(
    experiment: Experiment, names: list[str], expected: Identity
) -> None:
    for name in names:
        path = experiment.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert identity.check(experiment, expected.mode) == expected
    other = ONE if expected.mode is MANY else MANY
    with pytest.raises(UserError, match="belongs to"):
        identity.check(experiment, other)
    identity.claim(experiment, expected.mode)
    assert identity.has_checkpoint(experiment) == expected.has_checkpoint
    assert read(experiment)["layout"] == LAYOUT


def test_what_both_modes_wrote_is_nobodys(experiment: Experiment) -> None:
    experiment.make()
    (experiment.root / "kwargs.json").touch()
    (experiment.root / "run.json").touch()
    for mode in Mode:
        with pytest.raises(UserError, match="by both sac-train and launch_training"):
            identity.check(experiment, mode)


@pytest.mark.parametrize(
    "name", ["DONE", "eval", "policies", "replay", "services", "tmp", "train", "videos"]
)
def test_a_strangers_files_are_not_written_over_and_others_do_not_matter(
    experiment: Experiment, name: str
) -> None:
    experiment.make()
    for harmless in ("slurm-12.out", "launcher.log", "my variables.sh", "params.py"):
        (experiment.root / harmless).touch()
    for mode in Mode:
        assert identity.check(experiment, mode) is None
    (experiment.root / name).mkdir()
    for mode in Mode:
        with pytest.raises(UserError, match=f"would write into the {name} there"):
            identity.check(experiment, mode)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("", "is damaged"),
        ('{"mode": "no mode"}', "is damaged"),
        ('{"mode": "many processes", "layout": 3}', "newer version"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    experiment: Experiment, contents: str, message: str
) -> None:
    experiment.make()
    experiment.identity.write_text(contents)
    with pytest.raises(UserError, match=message):
        identity.check(experiment, MANY)


def test_a_file_is_no_directory(experiment: Experiment) -> None:
    experiment.root.touch()
    assert identity.check(experiment, ONE) is None
    with pytest.raises(UserError, match=r"cannot make .*: File exists"):
        experiment.make()


def test_a_checkpoint_is_remembered(experiment: Experiment) -> None:
    experiment.make()
    identity.claim(experiment, MANY)
    assert not identity.has_checkpoint(experiment)
    identity.check_nothing_is_lost(experiment)
    identity.note_checkpoint(experiment)
    identity.claim(experiment, MANY)
    assert identity.has_checkpoint(experiment)
    with pytest.raises(UserError, match="are gone; put a copy back"):
        identity.check_nothing_is_lost(experiment)
