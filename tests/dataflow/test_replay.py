"""The experience edge, against a real Reverb server."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.dataflow.conftest import (
    CODEC,
    SEQUENCES,
    GaveUp,
    insert,
    make_ordered_writer,
    make_row,
    make_writer,
)
from tfagents_system.acting.episode import Watcher, run_episode
from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.host import ports
from tfagents_system.one_process.ring_buffer import RingBuffer


def test_rows_travel_from_writer_to_batch(server: int) -> None:
    insert(server, 104)
    info = replay.read_replay(replay.connect(server))
    assert info is not None
    assert (info.num_rows, info.num_inserts, info.has_policy) == (104, 104, False)
    dataset = replay.make_dataset(server, CODEC, batch_size=9, prefetch_batches=1)
    seen: set[float] = set()
    for columns in dataset.take(100):
        transition = CODEC.unpack(columns)
        values = transition.next_time_step.reward.numpy()
        assert values.shape == (9,)
        seen.update(values)
        np.testing.assert_array_equal(transition.time_step.observation[:, 1], values)
        np.testing.assert_array_equal(
            transition.next_time_step.observation[:, 2], values
        )
    assert seen == set(range(104))


def test_nested_observations_of_many_dtypes_travel(
    start_server: Callable[..., int],
) -> None:
    codec = RowCodec(
        Specs(
            {
                "image": tf.TensorSpec((4, 4, 1), tf.uint8),
                "aux": (tf.TensorSpec((), tf.bool), tf.TensorSpec((2,), tf.int64)),
                "vector": tf.TensorSpec((3,), tf.float32),
            },
            tf.TensorSpec((1,), tf.float32),
        )
    )
    port = start_server(codec=codec)
    writer = make_ordered_writer(port, codec)

    def observation(value: int) -> Any:
        return {
            "image": np.full((4, 4, 1), value, np.uint8),
            "aux": (value % 2 == 1, np.full(2, value, np.int64)),
            "vector": np.full(3, value, np.float32),
        }

    for value in range(80):
        columns = codec.pack(
            observation(value), np.ones(1), value, 1.0, observation(value + 1)
        )
        writer.write(columns)
    writer.flush()
    dataset = replay.make_dataset(port, codec, batch_size=8, prefetch_batches=1)
    transition = codec.unpack(next(iter(dataset)))
    for index, value in enumerate(transition.next_time_step.reward.numpy()):
        for step, expected in (
            (transition.time_step, observation(int(value))),
            (transition.next_time_step, observation(int(value) + 1)),
        ):
            got = tf.nest.map_structure(lambda t, i=index: t[i], step.observation)
            tf.nest.map_structure(np.testing.assert_array_equal, got, expected)


def test_rows_of_an_item_are_spread_over_many_batches(
    start_server: Callable[..., int],
) -> None:
    port = start_server(Pacing(100_000, 16_000, 1.0, 1e9))
    insert(port, 16_000)
    dataset = replay.make_dataset(port, CODEC, batch_size=256, prefetch_batches=1)
    pairs = 0
    for columns in dataset.take(64):
        values = CODEC.unpack(columns).next_time_step.reward.numpy()
        items = (values // CODEC.rows_per_item).astype(int)
        counts = np.bincount(items)
        pairs += int((counts * (counts - 1) // 2).sum())
    # Grouped rows would be 32 * (8 choose 2) = 896 pairs a batch. Of 2000 items, 32640
    # pairs of independent rows share one 16 times; the 512 items of a fetch, each with
    # 8 rows in 16 batches, add 512 * 28 / 16 / 16 = 56.
    assert 20 < pairs / 64 < 120


def test_sequences_keep_their_order_and_know_where_episodes_begin(
    start_server: Callable[..., int],
) -> None:
    port = start_server(codec=SEQUENCES)
    client = replay.connect(port)
    writer = make_writer(port, SEQUENCES)
    for value in range(102):
        is_first = value % 12 == 0  # Episodes of 12.
        columns = SEQUENCES.pack(
            np.full(3, value), np.ones(1), value, 1.0, np.full(3, value + 1), is_first
        )
        writer.write(columns)
    writer.flush()
    info = replay.read_replay(client)
    assert info is not None
    assert info.num_inserts == 100
    dataset = replay.make_dataset(port, SEQUENCES, batch_size=4, prefetch_batches=1)
    seen = set()
    for columns in dataset.take(50):
        transition = SEQUENCES.unpack(columns)
        values = transition.next_time_step.reward.numpy()
        assert values.shape == (4, 5)
        np.testing.assert_array_equal(np.diff(values, axis=1), 1)
        assert (values[:, 0] % 5 == 0).all()
        seen.update(values.flat)
        for step in (transition.time_step, transition.next_time_step):
            np.testing.assert_array_equal(step.step_type == 0, values % 12 == 0)
        np.testing.assert_array_equal(transition.time_step.observation[..., 1], values)
    assert seen == set(range(100))


def test_large_rows_have_an_item_each() -> None:
    image = tf.TensorSpec((64, 64, 3), tf.uint8)
    codec = RowCodec(Specs(image, tf.TensorSpec((1,), tf.float32)))
    assert (codec.rows_per_item, codec.max_batches_per_fetch) == (1, 1)


def test_items_hold_rows_that_are_far_apart(server: int) -> None:
    client = replay.connect(server)
    writer = make_writer(server)
    for value in range(800):
        writer.write(make_row(value))
    writer.flush()
    seen: list[float] = []
    distances = []
    items: dict[int, Any] = {}
    for sample in client.sample(replay.EXPERIENCE_TABLE, 400, emit_timesteps=False):
        items[sample.info.key] = CODEC.unpack((tf.constant(sample.data[0][0]),))
    for item in items.values():
        values = np.sort(item.next_time_step.reward.numpy())
        assert len(values) == CODEC.rows_per_item
        seen.extend(values)
        distances.append(np.diff(values).mean())
    assert len(seen) == len(set(seen))  # Each row travels once.
    assert len(seen) > 400
    assert np.mean(distances) > 10  # Consecutive ones would be 1 apart.


def test_rows_that_do_not_fill_an_item_travel_with_the_next_episode(
    server: int,
) -> None:
    writer = make_ordered_writer(server)
    for value in range(20):
        if value % 5 == 0:  # Episodes of 5.
            writer.flush()
        writer.write(make_row(value))
    writer.flush()
    info = replay.read_replay(replay.connect(server))
    assert info is not None
    assert info.num_inserts == 16


@pytest.mark.parametrize(
    ("sequence_length", "num_steps"), [(None, 1), (None, 3), (5, 1)]
)
def test_both_modes_make_the_same_rows_of_an_episode(
    pendulum: tuple[Any, Any, Specs],
    start_server: Callable[..., int],
    sequence_length: int | None,
    num_steps: int,
) -> None:
    _, env, specs = pendulum
    codec = RowCodec(specs, sequence_length)
    # Nothing limits the sampling.
    port = start_server(Pacing(1000, 200, 1e6, 1e9), codec)
    writer = make_ordered_writer(port, codec, NStep(num_steps, 0.5))
    buffer = RingBuffer(codec, 1000, NStep(num_steps, 0.5))
    rewards: list[float] = []
    watchers: list[Watcher] = [
        writer.add,
        buffer.add,
        lambda _, action, next_time_step: rewards.append(next_time_step.reward),
    ]
    policy = RandomPolicy(env.action_spec(), np.random.default_rng(0))
    run_episode(env, policy, watchers)
    writer.flush()
    items = {
        sample.info.key: sample.data[0][0]
        for sample in replay.connect(port).sample(
            replay.EXPERIENCE_TABLE, 2000, emit_timesteps=False
        )
    }
    theirs = np.concatenate(list(items.values()))
    (mine,) = buffer.read(0, buffer.num_added)
    assert len(mine) == len(theirs) == len(rewards) == 200
    # Items come in no order.
    np.testing.assert_array_equal(np.unique(theirs, axis=0), np.unique(mine, axis=0))
    expected = [
        sum(0.5**k * reward for k, reward in enumerate(rewards[t : t + num_steps]))
        for t in range(200)
    ]
    written = codec.unpack((tf.constant(mine),)).next_time_step.reward
    np.testing.assert_allclose(written, expected, rtol=1e-5)


def test_writer_is_held_within_an_episode(server: int) -> None:
    # max_diff is 4 * 80 + 4000: 1080 rows without a sample.
    with pytest.raises(GaveUp):
        insert(server, 3000)
    info = replay.read_replay(replay.connect(server))
    assert info is not None
    assert 1072 <= info.num_inserts <= 1080


def test_learner_is_held_until_there_is_enough(server: int) -> None:
    dataset = replay.make_dataset(server, CODEC, batch_size=4, prefetch_batches=1)
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(next(iter(dataset))))
    thread.start()
    insert(server, 72)
    time.sleep(0.5)
    assert not got
    insert(server, 8)
    thread.join(10)
    assert len(got) == 1


def test_absent_server_is_no_answer_and_no_hang(free_port: int) -> None:
    started = time.monotonic()
    assert replay.read_replay(replay.connect(free_port), timeout_secs=1) is None
    assert time.monotonic() - started < 30


def test_second_server_on_one_port_is_refused(server: int) -> None:
    with pytest.raises(UserError, match=f"port {server} is taken"):
        ports.check_free(server)
    with pytest.raises(UserError, match="is taken"):
        ports.choose_port(server)
