"""The rows in the files of a Reverb checkpoint, to compare them by content.

Counters say how many rows there are, not whether they are the same ones.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import tensorflow as tf
from reverb.cc import schema_pb2
from reverb.cc.checkpointing import checkpoint_pb2

from tfagents_system.dataflow.replay import EXPERIENCE_TABLE

_Message = TypeVar("_Message", bound=Any)


@dataclasses.dataclass(frozen=True)
class Item:
    """Some rows that were inserted together.

    Attributes:
      inserted_at_ns: When, Unix time in nanoseconds.
      digest: Of the rows, byte by byte.
    """

    inserted_at_ns: int
    digest: str


@dataclasses.dataclass(frozen=True)
class Rows:
    """What a checkpoint has in its experience table.

    Attributes:
      items: By Reverb's key, which an item keeps when it is restored.
      max_items: The size of the table.
    """

    items: dict[int, Item]
    max_items: int


def read_rows(folder: Path) -> Rows:
    """Reads the rows of a checkpoint.

    Args:
      folder: One of Reverb's checkpoints, or a generation, which has one in it.
    """
    (tables,) = folder.rglob("tables.tfrecord")
    experience = next(
        table
        for table in _read(tables, checkpoint_pb2.PriorityTableCheckpoint)
        if table.table_name == EXPERIENCE_TABLE
    )
    chunks = {
        chunk.chunk_key: chunk.data.SerializeToString(deterministic=True)
        for chunk in _read(tables.with_name("chunks.tfrecord"), schema_pb2.ChunkData)
    }
    items = {
        item.key: Item(item.inserted_at.ToNanoseconds(), _digest(item, chunks))
        for item in _read(
            tables.with_name("items.tfrecord"), schema_pb2.PrioritizedItem
        )
        if item.table == EXPERIENCE_TABLE
    }
    return Rows(items, int(experience.max_size))


def find_lost(before: Rows, after: Rows) -> list[int]:
    """Returns the items of one checkpoint that a later one should have, and has not.

    Args:
      before: The earlier checkpoint.
      after: The later one. The oldest items may have left it for new ones when the
        table was full; all others must be there with the same contents.

    Returns:
      The keys of the items, the oldest first.
    """
    num_new = len(after.items.keys() - before.items.keys())
    num_evicted = max(0, len(before.items) + num_new - after.max_items)
    oldest_first = sorted(
        before.items, key=lambda key: before.items[key].inserted_at_ns
    )
    return [
        key
        for key in oldest_first[num_evicted:]
        if after.items.get(key) != before.items[key]
    ]


def _digest(item: Any, chunks: dict[int, bytes]) -> str:
    """Returns the digest of an item's part of each chunk that it refers to."""
    digest = hashlib.sha256()
    for column in item.flat_trajectory.columns:
        for part in column.chunk_slices:
            digest.update(f"{part.offset} {part.length} {part.index} ".encode())
            digest.update(chunks[part.chunk_key])
    return digest.hexdigest()


def _read(path: Path, kind: type[_Message]) -> Iterator[_Message]:
    for record in tf.data.TFRecordDataset(str(path), compression_type="ZLIB"):
        message = kind()
        message.ParseFromString(record.numpy())
        yield message
