"""Generations: joint checkpoints of learner and replay, used only if intact.

    train/checkpoints/
      generation_<train step>/    learner, replay, and a manifest of their files
      damaged_generation_.../     moved aside; for a person to look at
      partial/                    being written

A generation is made under another name and renamed when every byte is on disk. Its
manifest has the size and checksum of each file, so that learner and replay server,
which restore on their own, choose the same one: the newest that is intact.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.files import fingerprint, sync, write_json

NUM_KEPT = 2
NUM_DAMAGED_KEPT = 2
_NAME = re.compile(r"generation_(\d{10})")
_MANIFEST = "manifest.json"
_FACTS = ("train_step", "env_steps", "episodes", "row_layout")

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Generation:
    """One joint checkpoint.

    Attributes:
      path: Its folder.
      train_step: Gradient steps done.
      env_steps: Env steps of the whole training that the replay had taken.
      episodes: Training episodes that the workers had finished.
      row_layout: How the replay's rows are laid out.
    """

    path: Path
    train_step: int
    env_steps: int
    episodes: int
    row_layout: str


def list_generations(experiment: Experiment) -> list[Generation]:
    """Returns the generations that have a manifest, the newest first."""
    generations = []
    for path in _folders(experiment):
        with contextlib.suppress(_Damage):
            generations.append(_read(path)[0])
    return generations


class _Damage(Exception):
    """A generation is not as it was written; the message says what differs."""


def _read(path: Path) -> tuple[Generation, dict[str, tuple[int, int]]]:
    """Reads a manifest: the generation, and its files with size and checksum."""
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
        facts = {name: manifest[name] for name in _FACTS}
        files = {name: (size, crc) for name, (size, crc) in manifest["files"].items()}
        return Generation(path, **facts), files
    except (
        FileNotFoundError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise _Damage(f"its {_MANIFEST} is unusable: {error!r}") from error


def _folders(experiment: Experiment) -> list[Path]:
    return sorted(
        (
            path
            for path in experiment.checkpoints.glob("generation_*")
            if _NAME.fullmatch(path.name) and path.is_dir()
        ),
        reverse=True,
    )


@contextlib.contextmanager
def locked(experiment: Experiment) -> Iterator[None]:
    """Keeps other processes from adding, moving or removing generations."""
    experiment.checkpoints.mkdir(parents=True, exist_ok=True)
    with (experiment.checkpoints / ".lock").open("w") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


def newest_intact(experiment: Experiment) -> Generation | None:
    """Finds the newest intact generation; call it with the generations `locked`.

    Newer ones that are damaged are moved aside, and that is logged.

    Returns:
      The generation, or None if no training has got as far as that.

    Raises:
      UserError: There are only damaged ones.
      OSError: A file cannot be read, which says nothing about what is in it.
    """
    for path in _folders(experiment):
        try:
            return _verify(path)
        except _Damage as damage:
            moved = _move_aside(experiment, path)
            logger.error("damaged checkpoint %s: %s; moved to %s", path, damage, moved)
    if damaged := _damaged(experiment):
        raise UserError(
            f"no usable checkpoint is left in {experiment.checkpoints}, only damaged "
            f"ones ({', '.join(path.name for path in damaged)}); put a copy back, or "
            "choose a new SAC_EXP_NAME"
        )
    return None


def _verify(path: Path) -> Generation:
    """Compares the files of a generation with its manifest."""
    generation, files = _read(path)
    for name, (size, checksum) in files.items():
        file = path / name
        if not file.is_file():
            raise _Damage(f"{name} is missing")
        found_size, found_checksum = fingerprint(file)
        if found_size != size:
            raise _Damage(f"{name} has {found_size} bytes instead of {size}")
        if found_checksum != checksum:
            raise _Damage(f"{name} has other contents than were written")
    return generation


def _damaged(experiment: Experiment) -> list[Path]:
    """Returns what has been moved aside, the oldest first."""
    return sorted(
        experiment.checkpoints.glob("damaged_*"), key=lambda path: path.stat().st_mtime
    )


def _move_aside(experiment: Experiment, path: Path) -> Path:
    target = path.with_name(f"damaged_{path.name}_{time.time_ns()}")
    path.rename(target)
    target.touch()
    for old in _damaged(experiment)[:-NUM_DAMAGED_KEPT]:
        shutil.rmtree(old)
    return target


def partial_folder(experiment: Experiment) -> Path:
    """Returns the folder for the files of a new generation, from `begin` on."""
    return experiment.checkpoints / "partial"


def begin(experiment: Experiment) -> Path:
    """Makes `partial_folder`, empty; `complete` makes a generation of it."""
    partial = partial_folder(experiment)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def complete(experiment: Experiment, **facts: Any) -> Generation:
    """Makes a generation of what was written to `partial_folder`; removes old ones.

    Args:
      experiment: The experiment.
      **facts: The other attributes of Generation.

    Raises:
      OSError: The disk is full, for example; the generations before are untouched.
    """
    partial = partial_folder(experiment)
    files = {
        str(path.relative_to(partial)): fingerprint(path)
        for path in sorted(partial.rglob("*"))
        if path.is_file()
    }
    write_json(partial / _MANIFEST, {**facts, "files": files, "time": time.time()})
    for path in (partial, *partial.rglob("*")):
        sync(path)
    generation = Generation(
        experiment.checkpoints / f"generation_{facts['train_step']:010d}", **facts
    )
    with locked(experiment):
        if generation.path.exists():  # A damaged one, noticed only now.
            _move_aside(experiment, generation.path)
        partial.rename(generation.path)
        sync(experiment.checkpoints)
        for old in list_generations(experiment)[NUM_KEPT:]:
            shutil.rmtree(old.path)
    return generation
