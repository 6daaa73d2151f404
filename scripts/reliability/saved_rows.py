"""The rows of a checkpoint by content, and the check that the next one has them.

A checkpoint acknowledges its rows: whatever happens, the next one holds them as well,
except for those that newer rows have pushed out of a full replay.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tfagents_system.experiment import generations
from tfagents_system.experiment.directory import Experiment

_Message = TypeVar("_Message", bound=Any)


@dataclasses.dataclass(frozen=True)
class SavedRows:
    """What a checkpoint holds of the replay.

    Attributes:
      checkpoint: Its folder, or its list of files.
      train_step: Its gradient steps; in one process its iteration.
      digests: Of each row's content; of each item's with Reverb.
      num_inserts: Rows ever inserted; items with Reverb.
      capacity: How many the replay holds.
    """

    checkpoint: Path
    train_step: int
    digests: tuple[bytes, ...]
    num_inserts: int
    capacity: int


def read_newest_generation(root: Path) -> SavedRows | None:
    """Reads the newest joint checkpoint of an experiment directory.

    Returns:
      It; None if there is none, or if it was removed meanwhile, as old ones are.
    """
    # Importing TensorFlow takes seconds.
    import tensorflow as tf
    from reverb.cc.checkpointing import checkpoint_pb2

    from tfagents_system.dataflow.replay import EXPERIENCE_TABLE

    with contextlib.suppress(OSError, tf.errors.OpError):
        for generation in generations.list_generations(Experiment(root))[:1]:
            (folder,) = (generation.path / "replay").iterdir()
            tables = _read(
                folder / "tables.tfrecord", checkpoint_pb2.PriorityTableCheckpoint
            )
            (table,) = (t for t in tables if t.table_name == EXPERIENCE_TABLE)
            return SavedRows(
                generation.path,
                generation.train_step,
                read_item_digests(folder, EXPERIENCE_TABLE),
                table.rate_limiter.insert_count,
                table.max_size,
            )
    return None


def read_item_digests(folder: Path, table: str) -> tuple[bytes, ...]:
    """Returns a digest of the contents of each item in a checkpoint of Reverb.

    Args:
      folder: Reverb's own folder of the checkpoint.
      table: Name of the table.
    """
    from reverb.cc import schema_pb2

    chunks = {
        chunk.chunk_key: hashlib.sha1(chunk.data.SerializeToString()).digest()
        for chunk in _read(folder / "chunks.tfrecord", schema_pb2.ChunkData)
    }
    digests = []
    for item in _read(folder / "items.tfrecord", schema_pb2.PrioritizedItem):
        if item.table != table:
            continue
        digest = hashlib.sha1()
        for column in item.flat_trajectory.columns:
            for part in column.chunk_slices:
                digest.update(chunks[part.chunk_key])
                digest.update(f"{part.offset} {part.length} {part.index}".encode())
        digests.append(digest.digest())
    return tuple(digests)


def _read(path: Path, kind: type[_Message]) -> list[_Message]:
    import tensorflow as tf

    records = tf.data.TFRecordDataset(str(path), compression_type="ZLIB")
    return [kind.FromString(record.numpy()) for record in records]


def read_newest_one_process(root: Path) -> SavedRows | None:
    """Reads the newest checkpoint of a log directory of sac-train.

    Returns:
      It; None if there is none, or if it was removed meanwhile, as old ones are.
    """
    paths = sorted(root.glob("ckpt-*.json"), key=lambda path: int(path.stem[5:]))
    with contextlib.suppress(OSError):
        for path in paths[-1:]:
            manifest = json.loads(path.read_bytes())
            capacity = json.loads((root / "kwargs.json").read_bytes())["buffer_size"]
            parts: dict[str, dict[int, Any]] = collections.defaultdict(dict)
            for name in manifest["files"]:
                if name.startswith("replay/"):
                    span, _, column = Path(name).stem.rpartition("_")
                    parts[span][int(column)] = np.load(root / name)
            digests = [
                hashlib.sha1(b"".join(column.tobytes() for column in row)).digest()
                for span in sorted(parts)
                for row in zip(*(parts[span][c] for c in sorted(parts[span])))
            ]
            return SavedRows(
                path,
                int(path.stem[5:]),
                tuple(digests),
                manifest["rows"][1],
                capacity,
            )
    return None


def find_losses(before: SavedRows, after: SavedRows) -> list[str]:
    """Compares a checkpoint with a later one.

    Returns:
      What the later one lacks of what the first acknowledged, a line each.
    """
    names = f"{before.checkpoint.name}, {after.checkpoint.name}"
    losses = []
    if after.train_step < before.train_step:
        losses.append(f"{names}: back from {before.train_step} to {after.train_step}")
    num_new = after.num_inserts - before.num_inserts
    if num_new < 0:
        losses.append(f"{names}: {-num_new} inserts are not counted any more")
    num_pushed_out = max(0, len(before.digests) + max(0, num_new) - after.capacity)
    missing = collections.Counter(before.digests) - collections.Counter(after.digests)
    num_missing = sum(missing.values())
    if num_missing > num_pushed_out:
        losses.append(
            f"{names}: {num_missing} of {len(before.digests)} are gone, only "
            f"{num_pushed_out} were pushed out"
        )
    return losses
