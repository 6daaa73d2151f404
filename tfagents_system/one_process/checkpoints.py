"""Checkpoints of the one-process mode: everything that a resumed training needs.

    <logdir>/
      ckpt-N.index, ckpt-N.data-*    TensorFlow: networks, optimizers, alpha, train_step
      ckpt-N.json                    counters, random state, and a list of all its files
      replay/rows_<first>_<stop>_<column>.npy

Rows never change, so those that a checkpoint before has written are not written
again: a checkpoint costs what came since. N is the iteration. The .json is written
last: without it, or with a file that differs from its list, there is no checkpoint.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent

from tfagents_system.errors import NotSaved, UserError
from tfagents_system.host import files
from tfagents_system.host.files import write_json
from tfagents_system.learning import agent_state
from tfagents_system.one_process.ring_buffer import RingBuffer

ROWS_PER_FILE = 10_000
_NAME = re.compile(r"ckpt-(\d+)\.json")

logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one log directory."""

    def __init__(
        self,
        folder: Path,
        agent: tf_agent.TFAgent,
        buffer: RingBuffer,
        max_to_keep: int,
    ) -> None:
        """Keeps what is to be saved.

        Args:
          folder: The log directory.
          agent: Saved and restored with its optimizers.
          buffer: The replay.
          max_to_keep: Checkpoints to keep, the newest.
        """
        self._folder = folder
        self._replay = folder / "replay"
        self._agent = agent
        # Not compiled: the optimizers may not have their variables yet.
        self._checkpoint = tf.train.Checkpoint(agent=agent)
        self._buffer = buffer
        self._max_to_keep = max_to_keep
        # Row files never change, and reading them again would take seconds.
        self._row_fingerprints: dict[Path, tuple[int, int]] = {}

    def save(self, iteration: int, state: dict[str, Any]) -> None:
        """Writes a checkpoint, then removes old ones.

        Args:
          iteration: Its number.
          state: Counters and random state; JSON.

        Raises:
          NotSaved: The disk is full, for example; those before are intact.
        """
        try:
            rows = self._write_rows()
            self._checkpoint.write(str(self._folder / f"ckpt-{iteration}"))
            weights = sorted(self._folder.glob(f"ckpt-{iteration}.[di]*"))
            for path in weights:
                files.sync(path)
            write_json(
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
            )
            self._remove_old()
        except (OSError, tf.errors.OpError) as error:
            raise NotSaved.because(error) from error

    def restore(self) -> dict[str, Any] | None:
        """Restores agent and replay from the newest checkpoint that is intact.

        Returns:
          Its `state`, or None if there is no checkpoint.

        Raises:
          UserError: All are damaged, or the newest does not fit the agent.
        """
        numbers = self._numbers()
        for number in numbers:
            manifest = self._read(number)
            if manifest is not None:
                self._restore(number, manifest)
                state: dict[str, Any] = manifest["state"]
                return state
        if numbers:
            raise UserError(
                f"all checkpoints in {self._folder} are damaged; choose a new --logdir"
            )
        return None

    def _numbers(self) -> list[int]:
        """Returns the iterations of the checkpoints, the newest first."""
        names = (_NAME.fullmatch(path.name) for path in self._folder.glob("ckpt-*"))
        return sorted((int(name[1]) for name in names if name), reverse=True)

    def _read(self, number: int) -> dict[str, Any] | None:
        """Reads the list of a checkpoint; None, logged, if something is not so."""
        path = self._folder / f"ckpt-{number}.json"
        try:
            manifest: dict[str, Any] = json.loads(path.read_bytes())
            for name, expected in manifest["files"].items():
                if files.fingerprint(self._folder / name) != tuple(expected):
                    raise ValueError(f"{name} is not as it was written")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.error("damaged checkpoint %s: %s", path, error)
            return None
        return manifest

    def _restore(self, number: int, manifest: dict[str, Any]) -> None:
        path = self._folder / f"ckpt-{number}"
        agent_state.restore(self._agent, path, "choose a new --logdir")
        first, stop = manifest["rows"]
        for start, end in _spans(first, stop):
            files = self._row_files(start, end)
            self._buffer.write(start, [np.load(file) for file in files])
        # Later ones are damaged; their rows must not be taken for this training's.
        for later in self._numbers():
            if later > number:
                (self._folder / f"ckpt-{later}.json").unlink()
        logger.info("restored %s, with %d rows", path, stop - first)

    def _row_files(self, start: int, end: int) -> list[Path]:
        num_columns = len(self._buffer.read(start, start))
        return [
            self._replay / f"rows_{start:012d}_{end:012d}_{column}.npy"
            for column in range(num_columns)
        ]

    def _write_rows(self) -> dict[Path, tuple[int, int]]:
        """Writes the rows that no file has yet; returns the files of all of them."""
        self._replay.mkdir(exist_ok=True)
        buffer, known = self._buffer, self._row_fingerprints
        self._row_fingerprints = {}
        for start, end in _spans(buffer.first, buffer.num_added):
            paths = self._row_files(start, end)
            if not all(path in known for path in paths):
                for path, column in zip(paths, buffer.read(start, end)):
                    partial = path.with_name(f".{path.name}")
                    np.save(partial, column)
                    files.sync(partial)
                    partial.replace(path)
                    known[path] = files.fingerprint(path)
            self._row_fingerprints.update((path, known[path]) for path in paths)
        return self._row_fingerprints

    def _remove_old(self) -> None:
        """Removes old checkpoints, and every file that none of the rest needs."""
        numbers = self._numbers()
        needed: set[str] = set()
        for number in numbers[: self._max_to_keep]:
            manifest = json.loads((self._folder / f"ckpt-{number}.json").read_bytes())
            needed |= {f"ckpt-{number}.json", *manifest["files"]}
        for path in (*self._folder.glob("ckpt-*"), *self._replay.glob("*")):
            if str(path.relative_to(self._folder)) not in needed:
                path.unlink()


def _spans(first: int, stop: int) -> list[tuple[int, int]]:
    """Divides rows into files: borders at multiples of ROWS_PER_FILE."""
    borders = [first, *range(_next_border(first), stop, ROWS_PER_FILE), stop]
    return [span for span in zip(borders, borders[1:]) if span[0] < span[1]]


def _next_border(row: int) -> int:
    return (row // ROWS_PER_FILE + 1) * ROWS_PER_FILE
