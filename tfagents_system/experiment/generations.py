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
from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.files import fingerprint, move_aside, sync, write_json

NUM_KEPT = 2
NUM_DAMAGED_KEPT = 2
# Whoever holds the lock compares checksums, minutes for a large replay.
LOCK_TIMEOUT_SECS = 600.0
LOCK_POLL_SECS = 0.1
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


class Unreadable(UserError):
    """A file cannot be read now, which says nothing about what is in it."""

    @classmethod
    def because(cls, error: OSError, path: Path) -> Unreadable:
        """Makes it from the error of reading a file."""
        return cls(f"cannot read {path}: {error.strerror}; nothing was changed")


class _Damage(Exception):
    """A generation is not as it was written; the message says what differs."""


def list_generations(experiment: Experiment) -> list[Generation]:
    """Returns the generations whose manifest can be read, the newest first."""
    generations = []
    for path in _folders(experiment):
        with contextlib.suppress(_Damage, Unreadable):
            generations.append(_read(path)[0])
    return generations


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
    except OSError as error:
        raise Unreadable.because(error, path / _MANIFEST) from error


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
    """Keeps other processes from adding, moving or removing generations.

    Raises:
      UserError: Another process holds the lock for very long; it may be stopped.
    """
    folder = experiment.make_folder(experiment.checkpoints)
    deadline = time.monotonic() + LOCK_TIMEOUT_SECS
    with (folder / ".lock").open("w") as file:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise UserError(
                    f"another process has held {file.name} for {LOCK_TIMEOUT_SECS:g} s"
                    "; is it stopped? `fuser` on that file shows its pid"
                )
            time.sleep(LOCK_POLL_SECS)
        yield


def newest_intact(experiment: Experiment) -> Generation | None:
    """Finds the newest intact generation; call it with the generations `locked`.

    Newer ones that are damaged are moved aside, and that is logged.

    Returns:
      The generation, or None if no training has got as far as that.

    Raises:
      UserError: There are only damaged ones, or those that there were are gone.
      Unreadable: A file cannot be read; nothing was moved.
    """
    for path in _folders(experiment):
        try:
            generation = _verify(path)
            _note(experiment)
            return generation
        except _Damage as damage:
            moved = _move_aside(experiment, path)
            logger.error("damaged checkpoint %s: %s; moved to %s", path, damage, moved)
    if damaged := _damaged(experiment):
        raise UserError(
            f"no usable checkpoint is left in {experiment.checkpoints}, only damaged "
            f"ones ({', '.join(path.name for path in damaged)}); put a copy back, or "
            "choose a new SAC_EXP_NAME"
        )
    identity.check_nothing_is_lost(experiment)
    return None


def _note(experiment: Experiment) -> None:
    """Remembers that the training has a checkpoint, so that it never begins anew."""
    try:
        identity.note_checkpoint(experiment)
    except (OSError, UserError) as error:  # The next generation is another chance.
        logger.warning("%s not written: %s", experiment.identity, error)


def _verify(path: Path) -> Generation:
    """Compares the files of a generation with its manifest."""
    generation, files = _read(path)
    for name, (size, checksum) in files.items():
        file = path / name
        try:
            found_size, found_checksum = fingerprint(file)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _Damage(f"{name} is missing") from error
        except OSError as error:
            raise Unreadable.because(error, file) from error
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
    target = move_aside(path)
    target.touch()
    for old in _damaged(experiment)[:-NUM_DAMAGED_KEPT]:
        shutil.rmtree(old)
    return target


def partial_folder(experiment: Experiment) -> Path:
    """Returns the folder for the files of a new generation, from `begin` on."""
    return experiment.checkpoints / "partial"


def begin(experiment: Experiment) -> Path:
    """Makes `partial_folder`, empty; `complete` makes a generation of it."""
    abandon(experiment)
    return experiment.make_folder(partial_folder(experiment))


def abandon(experiment: Experiment) -> None:
    """Removes what was written since `begin`: half a generation is of no use."""
    shutil.rmtree(partial_folder(experiment), ignore_errors=True)


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
        _note(experiment)
        for old in list_generations(experiment)[NUM_KEPT:]:
            shutil.rmtree(old.path)
    return generation
