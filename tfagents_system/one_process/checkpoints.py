"""Checkpoints of the one-process mode: everything that a resumed training needs.

    <logdir>/
      ckpt-N.index, ckpt-N.data-*    TensorFlow: networks, optimizers, alpha, train_step
      ckpt-N.json                    counters, random state, and a list of all its files
      replay/rows_<first>_<stop>_<column>.npy
      damaged_ckpt-N_<time>/         moved aside; for a person to look at

Rows never change, so those that a checkpoint before has written are not written
again: a checkpoint costs what came since. N is the iteration. The .json is written
last: without it, or with a file that differs from its list, there is no checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent

from tfagents_system.errors import NotSaved, UserError
from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host import files
from tfagents_system.learning import agent_state
from tfagents_system.one_process.ring_buffer import RingBuffer

ROWS_PER_FILE = 10_000
NUM_DAMAGED_KEPT = 2
_MANIFEST = re.compile(r"ckpt-(\d+)\.json")
# All that is written here, with what a write that fails or is killed leaves; whatever
# has another name is somebody else's.
_OWN_NAMES = re.compile(
    r"ckpt-\d+(\.json|(\.index|\.data-\d+-of-\d+)(\.tempstate\d+)?|_temp)"
    r"|\.ckpt-\d+\.json\.\d+"
    r"|\.?rows_\d+_\d+_\d+\.npy"
)
# What reading a manifest that is not as it was written may raise.
_UNUSABLE = (ValueError, KeyError, TypeError, AttributeError)

logger = logging.getLogger(__name__)


class _Damage(Exception):
    """A checkpoint is not as it was written; the message says what differs."""


class Checkpoints:
    """The checkpoints of one log directory."""

    def __init__(
        self,
        experiment: Experiment,
        agent: tf_agent.TFAgent,
        buffer: RingBuffer,
        max_to_keep: int,
    ) -> None:
        """Keeps what is to be saved.

        Args:
          experiment: The log directory.
          agent: Saved and restored with its optimizers.
          buffer: The replay.
          max_to_keep: Checkpoints to keep, the newest.
        """
        self._experiment = experiment
        self._folder = experiment.root
        self._replay = experiment.replay
        self._agent = agent
        # Not compiled: the optimizers may not have their variables yet.
        self._checkpoint = tf.train.Checkpoint(agent=agent)
        self._buffer = buffer
        self._max_to_keep = max_to_keep
        # Row files never change, and reading them again would take seconds.
        self._row_fingerprints: dict[Path, tuple[int, int]] = {}

    def save(self, iteration: int, state: dict[str, Any]) -> None:
        """Writes a checkpoint, and removes old ones.

        Args:
          iteration: Its number; there must be none of this number.
          state: Counters and random state; JSON.

        Raises:
          NotSaved: The disk is full, for example; those before are intact, and nothing
            is left of this one.
        """
        self._remove_unneeded()
        try:
            self._write(iteration, state)
        except (OSError, tf.errors.OpError) as error:
            free_space = files.describe_free_space(self._folder)
            raise NotSaved.because(error, free_space) from error
        finally:
            self._remove_unneeded()
        try:
            identity.note_checkpoint(self._experiment)
        except OSError as error:  # The next one is noted.
            logger.warning("%s not written: %s", self._experiment.identity, error)

    def _write(self, iteration: int, state: dict[str, Any]) -> None:
        rows = self._write_rows()
        self._checkpoint.write(str(self._folder / f"ckpt-{iteration}"))
        weights = sorted(self._folder.glob(f"ckpt-{iteration}.[di]*"))
        for path in weights:
            files.sync(path)
        files.write_json(
            self._folder / f"ckpt-{iteration}.json",
            {
                "state": state,
                "rows": [self._buffer.first, self._buffer.num_added],
                "files": {
                    str(path.relative_to(self._folder)): fingerprint
                    for path, fingerprint in (
                        *((path, files.fingerprint(path)) for path in weights),
                        *rows.items(),
                    )
                },
            },
            durable=True,
        )

    def restore(self) -> dict[str, Any] | None:
        """Restores agent and replay from the newest checkpoint that is intact.

        Newer ones that are damaged are moved aside.

        Returns:
          Its `state`, or None if there has never been a checkpoint.

        Raises:
          UserError: All are damaged or gone, a file cannot be read, or the newest does
            not fit the agent. Then everything stays as it is.
        """
        try:
            manifest = self._restore_newest()
        except OSError as error:  # That says nothing about what is in a file.
            raise UserError(
                f"cannot read or move {error.filename}: {error.strerror}"
            ) from error
        if manifest is None:
            identity.check_nothing_is_lost(self._experiment)
            return None
        state: dict[str, Any] = manifest["state"]
        return state

    def _restore_newest(self) -> dict[str, Any] | None:
        damaged = []
        for number in self._numbers():
            try:
                manifest = self._verify(number)
            except _Damage as damage:
                logger.error("damaged checkpoint %d: %s", number, damage)
                damaged.append(number)
                continue
            self._restore(number, manifest)
            if damaged:
                self._move_aside(damaged[0], number)
            return manifest
        if damaged:
            raise UserError(
                f"all checkpoints in {self._folder} are damaged; put copies back, or "
                "choose a new --logdir"
            )
        return None

    def _numbers(self) -> list[int]:
        """Returns the iterations of the checkpoints, the newest first."""
        names = (_MANIFEST.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted((int(name[1]) for name in names if name), reverse=True)

    def _read(self, number: int) -> dict[str, Any]:
        """Reads the list of a checkpoint."""
        path = self._folder / f"ckpt-{number}.json"
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        return manifest

    def _verify(self, number: int) -> dict[str, Any]:
        """Reads the list of a checkpoint and compares its files with it.

        Raises:
          OSError: A file cannot be read.
        """
        try:
            manifest = self._read(number)
            for name, expected in manifest["files"].items():
                if files.fingerprint(self._folder / name) != tuple(expected):
                    raise _Damage(f"{name} is not as it was written")
        except FileNotFoundError as error:
            raise _Damage(f"{error.filename} is missing") from error
        except _UNUSABLE as error:
            raise _Damage(f"ckpt-{number}.json is unusable: {error!r}") from error
        return manifest

    def _restore(self, number: int, manifest: dict[str, Any]) -> None:
        path = self._folder / f"ckpt-{number}"
        agent_state.restore(self._agent, path, "choose a new --logdir")
        first, stop = manifest["rows"]
        for start, end in _spans(first, stop):
            row_files = self._row_files(start, end)
            self._buffer.write(start, [np.load(file) for file in row_files])
            for file in row_files:
                size, checksum = manifest["files"][str(file.relative_to(self._folder))]
                self._row_fingerprints[file] = (size, checksum)
        logger.info("restored %s, with %d rows", path, stop - first)

    def _row_files(self, start: int, end: int) -> list[Path]:
        num_columns = len(self._buffer.read(start, start))
        return [
            self._replay / f"rows_{start:012d}_{end:012d}_{column}.npy"
            for column in range(num_columns)
        ]

    def _write_rows(self) -> dict[Path, tuple[int, int]]:
        """Writes the rows that no file has; returns the files of all of them."""
        self._experiment.make_folder(self._replay)
        buffer, known = self._buffer, self._row_fingerprints
        self._row_fingerprints = {}
        for start, end in _spans(buffer.first, buffer.num_added):
            paths = self._row_files(start, end)
            if not all(_has_size(path, known.get(path)) for path in paths):
                for path, column in zip(paths, buffer.read(start, end)):
                    partial = path.with_name(f".{path.name}")
                    np.save(partial, column)
                    files.sync(partial)
                    partial.replace(path)
                    known[path] = files.fingerprint(path)
            self._row_fingerprints.update((path, known[path]) for path in paths)
        files.sync(self._replay)
        return self._row_fingerprints

    def _own_files(self) -> Iterator[Path]:
        """Yields what this module has written, the leftovers of a failed save too."""
        for folder in (self._folder, self._replay):
            for path in folder.glob("*"):
                if _OWN_NAMES.fullmatch(path.name):
                    yield path

    def _needed(self, numbers: Iterable[int]) -> set[Path]:
        """Returns all files of some checkpoints."""
        needed = set()
        for number in numbers:
            names = (f"ckpt-{number}.json", *self._read(number)["files"])
            needed |= {self._folder / name for name in names}
        return needed

    def _remove_unneeded(self) -> None:
        """Removes old checkpoints, and what a failed save has left.

        What cannot be read or removed stays, and that is logged.
        """
        try:
            needed = self._needed(self._numbers()[: self._max_to_keep])
            for path in self._own_files():
                if path not in needed:
                    _remove(path)
        except (OSError, *_UNUSABLE) as error:
            logger.warning("old checkpoints are not removed: %s", error)

    def _move_aside(self, newest: int, restored: int) -> None:
        """Moves checkpoints that are newer than the restored one to a folder.

        Their rows must not be taken for those that this training adds.
        """
        older = []
        for number in self._numbers():
            with contextlib.suppress(OSError, *_UNUSABLE):
                if number <= restored and self._read(number)["files"]:
                    older.append(number)
        needed = self._needed(older)
        before = list(self._folder.glob("damaged_ckpt-*"))
        target = self._folder / f"damaged_ckpt-{newest}_{time.time_ns()}"
        target.mkdir()
        for path in self._own_files():
            if path not in needed:
                path.rename(target / path.name)
        logger.error("what was damaged is now in %s", target)
        before.sort(key=lambda path: path.stat().st_mtime)
        for old in before[: -(NUM_DAMAGED_KEPT - 1)]:
            shutil.rmtree(old)


def _has_size(path: Path, fingerprint: tuple[int, int] | None) -> bool:
    """Returns whether a file that was written once is still there."""
    try:
        return fingerprint is not None and path.stat().st_size == fingerprint[0]
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _spans(first: int, stop: int) -> list[tuple[int, int]]:
    """Divides rows into files: borders at multiples of ROWS_PER_FILE."""
    borders = [first, *range(_next_border(first), stop, ROWS_PER_FILE), stop]
    return [span for span in zip(borders, borders[1:]) if span[0] < span[1]]


def _next_border(row: int) -> int:
    return (row // ROWS_PER_FILE + 1) * ROWS_PER_FILE
