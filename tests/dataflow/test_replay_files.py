"""The files of a real Reverb checkpoint: what they count, and new settings."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from tests.dataflow.conftest import CODEC, PACING, insert, serve
from tfagents_system.dataflow import replay, replay_files

NUM_ITEMS = 160 // CODEC.rows_per_item


@pytest.fixture
def saved(free_port: int, tmp_path: Path) -> tuple[Path, int]:
    """Returns a checkpoint of 160 rows in `tmp_path`, and the port of its server."""
    server = serve(tmp_path, PACING, free_port)
    insert(free_port, 160)
    folder = Path(replay.connect(free_port).checkpoint())
    server.stop()
    return folder, free_port


def test_inserts_are_those_of_the_server(saved: tuple[Path, int]) -> None:
    assert replay_files.read_num_inserts(saved[0]) == NUM_ITEMS


def test_same_settings_change_nothing(saved: tuple[Path, int]) -> None:
    folder, _ = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    table = replay.make_tables(CODEC, PACING)[0]
    assert replay_files.apply_settings(folder, table) == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_new_settings_are_those_of_the_restored_table(
    saved: tuple[Path, int], tmp_path: Path
) -> None:
    folder, port = saved
    pacing = dataclasses.replace(PACING, samples_per_insert=64.0, slack_samples=9000.0)
    wanted = replay.make_tables(CODEC, pacing)[0]
    changes = replay_files.apply_settings(folder, wanted)
    assert "samples_per_insert 4 -> 64" in changes
    assert [change.split()[0] for change in changes] == [
        "samples_per_insert",
        "min_diff",
        "max_diff",
    ]
    # The server's own settings are what the files say, not what it was started with.
    server = serve(tmp_path, PACING, port)
    restored = replay.connect(port).server_info()[replay.EXPERIENCE_TABLE]
    server.stop()
    info, expected = restored.rate_limiter_info, wanted.info.rate_limiter_info
    assert info.samples_per_insert == 64
    assert (info.min_diff, info.max_diff) == (expected.min_diff, expected.max_diff)
    assert info.insert_stats.completed == NUM_ITEMS
    # Neither side has a backlog.
    due = NUM_ITEMS * 64 - info.sample_stats.completed
    assert due == (info.min_diff + info.max_diff) / 2


def test_smaller_table_keeps_the_newest_rows(
    saved: tuple[Path, int], tmp_path: Path
) -> None:
    folder, port = saved
    pacing = dataclasses.replace(PACING, capacity=80)
    table = replay.make_tables(CODEC, pacing)[0]
    changes = replay_files.apply_settings(folder, table)
    assert changes == ["max_size 100 -> 10"]
    server = serve(tmp_path, PACING, port)
    info = replay.read_replay(replay.connect(port))
    dataset = replay.make_dataset(port, CODEC, batch_size=8, prefetch_batches=1)
    values = {
        value
        for columns in dataset.take(256)
        for value in CODEC.unpack(columns).next_time_step.reward.numpy()
    }
    server.stop()
    assert info is not None
    assert (info.num_rows, info.num_inserts) == (80, 160)
    assert values == set(range(80, 160))


def test_files_are_replaced_because_they_may_be_links(
    saved: tuple[Path, int], tmp_path: Path
) -> None:
    folder, _ = saved
    kept = tmp_path / "kept"
    kept.mkdir()
    before = {}
    for path in folder.iterdir():
        os.link(path, kept / path.name)
        before[path.name] = path.read_bytes()
    pacing = dataclasses.replace(PACING, capacity=80, samples_per_insert=64.0)
    assert replay_files.apply_settings(folder, replay.make_tables(CODEC, pacing)[0])
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
