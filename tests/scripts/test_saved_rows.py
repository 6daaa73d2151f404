"""scripts/reliability/saved_rows.py: rows of real checkpoints, compared by content."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saved_rows import SavedRows, find_losses, read_newest_generation

from tests.learning import helpers
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.deadline import Line
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.experiment import generations, identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.learning import checkpoint

NUM_ITEMS = 5
CAPACITY_ITEMS = 12
Save = Callable[[list[float]], SavedRows]


@pytest.fixture
def save(pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int) -> Save:
    """Returns a function that resumes, writes items and saves; one reward an item."""
    experiment, codec = Experiment(tmp_path / "exp"), RowCodec(pendulum[2])
    experiment.make()
    identity.claim(experiment, identity.Mode.MANY_PROCESSES)
    pacing = dataclasses.replace(
        helpers.PACING,
        capacity=CAPACITY_ITEMS * codec.rows_per_item,
        slack_samples=4000.0,
    )
    train_step = 0

    def resume_and_save(rewards: list[float]) -> SavedRows:
        nonlocal train_step
        train_step += 1
        server = helpers.serve(experiment, codec, free_port, pacing)
        rows = [
            helpers.make_row(codec, reward)
            for reward in rewards
            for _ in range(codec.rows_per_item)
        ]
        helpers.write_rows(free_port, codec, rows)
        generations.begin(experiment)
        client = replay.connect(free_port)
        checkpoint.complete(experiment, train_step, client, Line(), codec)
        server.stop()
        saved = read_newest_generation(experiment.root)
        assert saved is not None
        return saved

    return resume_and_save


def numbers(first: int, count: int) -> list[float]:
    return [float(number) for number in range(first, first + count)]


def test_a_resumed_replay_has_the_same_rows(save: Save) -> None:
    before = save(numbers(0, NUM_ITEMS))
    assert len(set(before.digests)) == NUM_ITEMS
    after = save(numbers(NUM_ITEMS, 2))
    assert len(set(after.digests)) == NUM_ITEMS + 2
    assert find_losses(before, after) == []


def test_the_oldest_may_leave_a_full_replay_and_no_others(save: Save) -> None:
    before = save(numbers(0, NUM_ITEMS))
    after = save(numbers(NUM_ITEMS, CAPACITY_ITEMS - 2))
    assert len(after.digests) == CAPACITY_ITEMS
    assert find_losses(before, after) == []
    lacking = tuple(set(after.digests) - set(before.digests))
    (loss,) = find_losses(before, dataclasses.replace(after, digests=lacking))
    assert "5 of 5 are gone, only 3 were pushed out" in loss


def test_as_many_other_rows_are_not_the_same(save: Save) -> None:
    before = save(numbers(0, NUM_ITEMS))
    after = save(numbers(NUM_ITEMS, NUM_ITEMS))
    others = tuple(set(after.digests) - set(before.digests))
    changed = dataclasses.replace(before, digests=others)
    assert len(changed.digests) == len(before.digests)
    (loss,) = find_losses(before, changed)
    assert f"{NUM_ITEMS} of {NUM_ITEMS} are gone" in loss


def test_what_is_counted_less_is_lost(save: Save) -> None:
    before = save(numbers(0, NUM_ITEMS))
    after = save([])
    assert find_losses(before, after) == []
    assert len(find_losses(after, before)) == 1  # Its train step is earlier.
    fewer = dataclasses.replace(after, num_inserts=NUM_ITEMS - 1)
    assert len(find_losses(before, fewer)) == 1
