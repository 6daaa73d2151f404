"""Reverb's checkpoint files: what they count, and the settings that they bring back.

A server restores the sizes and the rate limiter of its tables with the rows and
silently ignores those that it was started with. So the files get the new settings
before the server reads them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import reverb
import tensorflow as tf
from reverb.cc import schema_pb2
from reverb.cc.checkpointing import checkpoint_pb2

from tfagents_system.dataflow.replay import EXPERIENCE_TABLE

_TABLES, _ITEMS = "tables.tfrecord", "items.tfrecord"
_COMPRESSION = "ZLIB"
_Message = TypeVar("_Message", bound=Any)

logger = logging.getLogger(__name__)


def read_num_inserts(folder: Path) -> int:
    """Returns the items ever inserted, as one of Reverb's checkpoints has it."""
    tables = _read(folder / _TABLES, checkpoint_pb2.PriorityTableCheckpoint)
    experience = next(table for table in tables if table.table_name == EXPERIENCE_TABLE)
    return int(experience.rate_limiter.insert_count)


def apply_settings(folder: Path, new_table: reverb.Table) -> list[str]:
    """Gives one of Reverb's checkpoints the settings of a table.

    The newest rows stay where the table got smaller. Where pacing changed, the count
    of samples is set so that neither side has a backlog. Otherwise a learner could take
    millions of gradient steps at once, or none for days.

    Args:
      folder: The checkpoint's folder; its files are replaced, not written to, for they
        may be links.
      new_table: The experience table as this run makes it.

    Returns:
      What changed, e.g. `max_size 100 -> 200`, in items.
    """
    tables = _read(folder / _TABLES, checkpoint_pb2.PriorityTableCheckpoint)
    experience = next(table for table in tables if table.table_name == EXPERIENCE_TABLE)
    info = new_table.info
    limiter, new_limiter = experience.rate_limiter, info.rate_limiter_info
    changes = []
    if experience.max_size != info.max_size:
        changes.append(f"max_size {experience.max_size} -> {info.max_size}")
        experience.max_size = info.max_size
        num_dropped = _keep_newest(folder / _ITEMS, info.max_size)
        limiter.delete_count += num_dropped
    is_pacing_new = False
    for name in ("samples_per_insert", "min_diff", "max_diff", "min_size_to_sample"):
        old, new = getattr(limiter, name), getattr(new_limiter, name)
        if old != new:
            changes.append(f"{name} {old:g} -> {new:g}")
            setattr(limiter, name, new)
            is_pacing_new = True
    if is_pacing_new:
        middle = (limiter.min_diff + limiter.max_diff) / 2
        due = limiter.insert_count * limiter.samples_per_insert - middle
        limiter.sample_count = max(0, round(due))
    if changes:
        _write(folder / _TABLES, tables)
    return changes


def _keep_newest(path: Path, max_items: int) -> int:
    """Keeps the newest items of the experience table; returns how many it dropped."""
    items = _read(path, schema_pb2.PrioritizedItem)
    own = [item for item in items if item.table == EXPERIENCE_TABLE]
    others = [item for item in items if item.table != EXPERIENCE_TABLE]
    num_dropped = max(0, len(own) - max_items)
    if num_dropped:
        own.sort(key=lambda item: (item.inserted_at.seconds, item.inserted_at.nanos))
        _write(path, [*own[num_dropped:], *others])
    return num_dropped


def _read(path: Path, kind: type[_Message]) -> list[_Message]:
    messages = []
    for record in tf.data.TFRecordDataset(str(path), compression_type=_COMPRESSION):
        message = kind()
        message.ParseFromString(record.numpy())
        messages.append(message)
    return messages


def _write(path: Path, messages: Iterable[Any]) -> None:
    partial = path.with_name(f".{path.name}")
    with tf.io.TFRecordWriter(str(partial), options=_COMPRESSION) as writer:
        for message in messages:
            writer.write(message.SerializeToString())
    partial.replace(path)
