"""The pace of collecting and learning follows from the iteration."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import pytest

from tests.dataflow.conftest import CODEC, SEQUENCES, GaveUp, insert, make_row
from tests.waiting import wait_for
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.rate_limiter import (
    batches_per_fetch,
    make_pacing,
    warm_up_rows,
)


def test_pacing_follows_from_the_iteration(load: Any) -> None:
    params = load(
        horizon=1000,
        train_params={
            "num_steps_per_iter": 500,
            "train_batch_size": 256,
            "n_buffer_init_episodes": 10,
        },
    )
    pacing = make_pacing(params, CODEC)
    assert pacing.samples_per_insert == 128
    assert (pacing.capacity, pacing.min_size) == (350_000, 10_000)
    assert warm_up_rows(params) == 10_000
    assert pacing.slack_samples == 500 * 256
    # A batch of sequences is that many more transitions.
    assert make_pacing(params, SEQUENCES).samples_per_insert == 128 * 5


def fetch(port: int, params: Any) -> Iterator[Any]:
    """Returns the batches that a learner gets."""
    return iter(
        replay.make_dataset(
            port,
            CODEC,
            params.train_batch_size,
            params.prefetch_batches,
            batches_per_fetch(params, CODEC),
        )
    )


def test_prefetched_samples_stay_within_the_slack(
    load: Any, start_server: Callable[..., int]
) -> None:
    params = load(train_params={"n_buffer_init_episodes": 1, "num_steps_per_iter": 1})
    pacing = make_pacing(params, CODEC)
    port = start_server(pacing)
    insert(port, pacing.min_size)
    iterator = fetch(port, params)
    next(iterator)
    time.sleep(0.5)  # Let the pipeline fill as far as it will.
    info = replay.read_replay(replay.connect(port))
    assert info is not None
    assert info.num_samples <= pacing.slack_samples


def test_fewer_batches_are_fetched_at_once_where_iterations_are_short(
    load: Any,
) -> None:
    fetched = {}
    for num_steps in (1, 20, 50, 500):
        params = load(train_params={"num_steps_per_iter": num_steps})
        fetched[num_steps] = batches_per_fetch(params, CODEC)
        assert batches_per_fetch(params, SEQUENCES) == 1
        slack_iters = make_pacing(params, CODEC).slack_samples / (num_steps * 16)
        assert num_steps == 1 or slack_iters == 1
    assert fetched == {1: 1, 20: 1, 50: 5, 500: 16}


class EndlessWriter:
    """Inserts rows as fast as the replay takes them, until it is closed."""

    def __init__(self, port: int) -> None:
        """Begins."""
        self._stop = threading.Event()
        self._waits = 0
        self._writer = replay.ExperienceWriter(
            replay.connect(port),
            CODEC,
            NStep(),
            np.random.default_rng(0),
            self._on_wait,
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _on_wait(self, waited_secs: float) -> None:
        self._waits += 1
        if self._stop.is_set():
            raise GaveUp

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._writer.write(make_row(1.0))
            except GaveUp:
                return

    def wait_until_it_waits(self) -> None:
        """Waits until there is no room for it."""
        waits = self._waits
        wait_for(lambda: self._waits >= waits + 2)

    def close(self) -> None:
        """Ends it."""
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("num_steps_per_iter", [20, 50])
def test_collecting_is_an_iteration_ahead_of_learning_at_most(
    load: Any,
    start_server: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    num_steps_per_iter: int,
) -> None:
    monkeypatch.setattr(replay, "FLUSH_TIMEOUT_MS", 100)
    params = load(
        train_params={
            "n_buffer_init_episodes": 5,
            "num_steps_per_iter": num_steps_per_iter,
        }
    )
    pacing = make_pacing(params, CODEC)
    port = start_server(pacing)
    writer = EndlessWriter(port)
    try:
        batches = fetch(port, params)
        for iteration in range(1, 6):
            for _ in range(num_steps_per_iter):
                next(batches)
            writer.wait_until_it_waits()
            info = replay.read_replay(replay.connect(port))
            assert info is not None
            collected = (info.num_inserts - pacing.min_size) / 200  # Iterations.
            # An item has 8 rows.
            assert iteration <= collected + 1 <= iteration + 2 + 8 / 200
    finally:
        writer.close()
