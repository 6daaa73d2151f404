"""scripts/reliability/replay_rows.py: rows of real Reverb checkpoints, by content."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from replay_rows import Rows, find_lost, read_rows

from tests.dataflow.conftest import CODEC, PACING, insert, make_ordered_writer, serve
from tests.dataflow.conftest import make_row as row
from tfagents_system.dataflow import replay

NUM_ITEMS = 160 // CODEC.rows_per_item
CAPACITY_ITEMS = PACING.capacity // CODEC.rows_per_item


@pytest.fixture
def saved(free_port: int, tmp_path: Path) -> tuple[Rows, int]:
    """Returns the rows of a checkpoint, and the port of its server, which is gone."""
    server = serve(tmp_path, PACING, free_port)
    insert(free_port, 160)
    rows = read_rows(Path(replay.connect(free_port).checkpoint()))
    server.stop()
    return rows, free_port


def restore_and_insert(folder: Path, port: int, num_rows: int) -> Rows:
    """Restores the checkpoint, writes other rows; returns what is saved then."""
    server = serve(folder, PACING, port)
    writer = make_ordered_writer(port)
    for index in range(num_rows):
        writer.write(row(-1.0 - index))
    writer.flush()
    rows = read_rows(Path(replay.connect(port).checkpoint()))
    server.stop()
    return rows


def test_a_restored_server_has_the_same_rows(
    saved: tuple[Rows, int], tmp_path: Path
) -> None:
    before, port = saved
    assert len(before.items) == NUM_ITEMS
    assert len({item.digest for item in before.items.values()}) == NUM_ITEMS
    after = restore_and_insert(tmp_path, port, 80)
    assert len(after.items) == NUM_ITEMS + 80 // CODEC.rows_per_item
    assert find_lost(before, after) == []


def test_the_oldest_may_leave_a_full_table_and_no_others(
    saved: tuple[Rows, int], tmp_path: Path
) -> None:
    before, port = saved
    num_kept = 2
    num_rows = (CAPACITY_ITEMS - num_kept) * CODEC.rows_per_item
    after = restore_and_insert(tmp_path, port, num_rows)
    assert len(after.items) == CAPACITY_ITEMS
    assert find_lost(before, after) == []
    kept = sorted(before.items, key=lambda key: before.items[key].inserted_at_ns)
    kept = kept[-num_kept:]
    del after.items[kept[0]]
    assert find_lost(before, after) == [kept[0]]


def test_as_many_other_rows_are_not_the_same(
    saved: tuple[Rows, int], tmp_path: Path
) -> None:
    before, port = saved
    other_server = tmp_path / "other"
    other_server.mkdir()
    after = restore_and_insert(other_server, port, 160)
    assert len(after.items) == NUM_ITEMS
    assert len(find_lost(before, after)) == NUM_ITEMS


def test_a_changed_row_is_lost(saved: tuple[Rows, int]) -> None:
    before, _ = saved
    key, item = next(iter(before.items.items()))
    changed = {**before.items, key: dataclasses.replace(item, digest="other")}
    assert find_lost(before, dataclasses.replace(before, items=changed)) == [key]
