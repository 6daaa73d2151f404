"""Generations: only whole ones count, and what is damaged is moved aside."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Callable

import pytest

from tests.experiments import make_experiment
from tfagents_system.errors import UserError
from tfagents_system.experiment import generations, identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.generations import Generation, Unreadable

# The names that TensorFlow and Reverb give their files.
FILES = (
    "learner.index",
    "learner.data-00000-of-00001",
    "replay/2026-11-24T12:00:00/chunks.tfrecord",
    "replay/2026-11-24T12:00:00/items.tfrecord",
    "replay/2026-11-24T12:00:00/DONE",
)


def save(experiment: Experiment, train_step: int) -> Generation:
    """Makes a generation of files of 40 bytes."""
    partial = generations.begin(experiment)
    for name in FILES:
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{name} at {train_step}".encode().ljust(40)[:40])
    return generations.complete(
        experiment,
        train_step=train_step,
        env_steps=8 * train_step,
        episodes=train_step + 1,
        row_layout="rows",
    )


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Returns an experiment with generations 1 and 2."""
    experiment = make_experiment(tmp_path)
    for train_step in (1, 2):
        save(experiment, train_step)
    return experiment


def saved_steps(experiment: Experiment) -> list[int]:
    """Returns the train steps of the generations, the newest first."""
    return [g.train_step for g in generations.list_generations(experiment)]


def newest(experiment: Experiment) -> Generation | None:
    """Finds the newest intact generation as a process does."""
    with generations.locked(experiment):
        return generations.newest_intact(experiment)


def test_before_the_first_there_is_none(tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path)
    assert generations.list_generations(experiment) == []
    assert newest(experiment) is None


def test_facts_and_files_are_what_was_saved(experiment: Experiment) -> None:
    generation = save(experiment, 3)
    assert newest(experiment) == generation
    assert generation == Generation(
        experiment.checkpoints / "generation_0000000003", 3, 24, 4, "rows"
    )
    for name in FILES:
        assert (generation.path / name).read_bytes().startswith(name.encode()[:40])


def test_two_are_kept_and_half_a_one_is_not_used(experiment: Experiment) -> None:
    save(experiment, 3)
    assert saved_steps(experiment) == [3, 2]
    folder = experiment.checkpoints
    assert not (folder / "generation_0000000001").exists()
    (folder / "generation_0000000003" / "manifest.json").unlink()
    generations.begin(experiment)
    assert saved_steps(experiment) == [2]


def test_what_was_begun_replaces_what_was_never_completed(
    experiment: Experiment,
) -> None:
    (generations.begin(experiment) / "learner.old").write_text("half")
    generation = save(experiment, 3)
    assert not (generation.path / "learner.old").exists()
    assert not generations.partial_folder(experiment).exists()


def replay_file(generation: Path, name: str) -> Path:
    """Returns one of Reverb's files of a generation."""
    (saved,) = (generation / "replay").iterdir()
    return saved / name


def flip_bit(path: Path) -> None:
    """Changes one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "learner truncated": lambda g: os.truncate(max(g.glob("learner.data-*")), 10),
    "learner missing": lambda g: (g / "learner.index").unlink(),
    "chunks truncated": lambda g: os.truncate(replay_file(g, "chunks.tfrecord"), 10),
    "items empty": lambda g: os.truncate(replay_file(g, "items.tfrecord"), 0),
    "no DONE": lambda g: replay_file(g, "DONE").unlink(),
    "a bit flipped": lambda g: flip_bit(replay_file(g, "chunks.tfrecord")),
    "no replay": lambda g: shutil.rmtree(g / "replay"),
    "no manifest": lambda g: (g / "manifest.json").unlink(),
    "half a manifest": lambda g: os.truncate(g / "manifest.json", 30),
    "another manifest": lambda g: (g / "manifest.json").write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_one_is_moved_aside_and_the_one_before_is_used(
    experiment: Experiment, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    DAMAGES[damage](experiment.checkpoints / "generation_0000000002")
    for _ in range(2):
        found = newest(experiment)
        assert found is not None
        assert found.train_step == 1
    moved = [path.name for path in experiment.checkpoints.glob("damaged_*")]
    assert len(moved) == 1
    assert moved[0].startswith("damaged_generation_0000000002")
    assert "damaged checkpoint" in caplog.text


def test_damaged_one_of_the_same_step_is_moved_aside_for_the_new_one(
    experiment: Experiment,
) -> None:
    DAMAGES["no manifest"](experiment.checkpoints / "generation_0000000002")
    generation = save(experiment, 2)
    assert newest(experiment) == generation
    assert len(list(experiment.checkpoints.glob("damaged_*"))) == 1


@pytest.mark.parametrize("name", ["manifest.json", "learner.index"])
def test_a_file_that_cannot_be_read_is_no_damage(
    experiment: Experiment, name: str
) -> None:
    path = experiment.checkpoints / "generation_0000000002" / name
    contents = path.read_bytes()
    path.unlink()
    path.symlink_to("/proc/self/mem")  # Reading its first byte is an I/O error.
    message = f"^cannot read .*{name}: Input/output error; nothing was changed$"
    with pytest.raises(Unreadable, match=message):
        newest(experiment)
    assert not list(experiment.checkpoints.glob("damaged_*"))
    path.unlink()
    path.write_bytes(contents)
    found = newest(experiment)
    assert found is not None
    assert found.train_step == 2


def test_a_training_whose_generations_are_gone_does_not_begin_anew(
    experiment: Experiment,
) -> None:
    shutil.rmtree(experiment.checkpoints)
    with pytest.raises(UserError, match=r"the checkpoints of .* are gone"):
        newest(experiment)


def test_a_generation_of_an_earlier_version_is_remembered_too(
    experiment: Experiment,
) -> None:
    experiment.identity.unlink()
    (experiment.root / "run.json").touch()  # By which a directory of then is known.
    identity.claim(experiment, identity.Mode.MANY_PROCESSES)
    newest(experiment)
    shutil.rmtree(experiment.checkpoints)
    with pytest.raises(UserError, match=r"the checkpoints of .* are gone"):
        newest(experiment)


def test_a_directory_that_was_deleted_does_not_come_back(
    experiment: Experiment,
) -> None:
    shutil.rmtree(experiment.root)
    with pytest.raises(FileNotFoundError):
        generations.begin(experiment)
    with pytest.raises(FileNotFoundError):
        newest(experiment)
    assert not experiment.root.exists()


def test_a_lock_that_is_held_for_ever_is_not_waited_for_that_long(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "LOCK_TIMEOUT_SECS", 0.2)
    message = r"another process has held .*\.lock for"
    with generations.locked(experiment), pytest.raises(UserError, match=message):
        newest(experiment)
    assert newest(experiment) is not None


def test_where_all_are_damaged_training_does_not_begin_anew(
    experiment: Experiment,
) -> None:
    for path in experiment.checkpoints.glob("generation_*"):
        DAMAGES["a bit flipped"](path)
    for _ in range(2):
        with pytest.raises(UserError, match="no usable checkpoint is left") as error:
            newest(experiment)
        assert "\n" not in str(error.value)


def test_the_newest_damaged_ones_are_kept(experiment: Experiment) -> None:
    for train_step in range(3, 7):
        DAMAGES["half a manifest"](max(experiment.checkpoints.glob("generation_*")))
        newest(experiment)
        save(experiment, train_step)
    kept = experiment.checkpoints.glob("damaged_*")
    assert sorted(int(path.name.split("_")[2]) for path in kept) == [4, 5]


def test_foreign_files_do_no_harm(experiment: Experiment) -> None:
    (experiment.checkpoints / "generation_copy").mkdir()
    (experiment.checkpoints / "generation_0000000009").write_text("a file")
    (experiment.checkpoints / "notes.txt").write_text("mine")
    generation = save(experiment, 3)
    assert newest(experiment) == generation
    assert (experiment.checkpoints / "notes.txt").read_text() == "mine"
    assert (experiment.checkpoints / "generation_0000000009").is_file()
