"""The pace of collecting and learning follows from the iteration."""

from __future__ import annotations

import time
from typing import Any, Callable

from tests.dataflow.conftest import CODEC, SEQUENCES, insert
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.rate_limiter import make_pacing, warm_up_rows


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


def test_prefetched_samples_stay_within_the_slack(
    load: Any, start_server: Callable[..., int]
) -> None:
    params = load(train_params={"n_buffer_init_episodes": 1, "num_steps_per_iter": 1})
    pacing = make_pacing(params, CODEC)
    port = start_server(pacing)
    insert(port, pacing.min_size)
    dataset = replay.make_dataset(
        port, CODEC, params.train_batch_size, params.prefetch_batches
    )
    iterator = iter(dataset)
    next(iterator)
    time.sleep(0.5)  # Let the pipeline fill as far as it will.
    info = replay.read_replay(replay.connect(port))
    assert info is not None
    assert info.num_samples <= pacing.slack_samples
