"""The experience and variables edges, against a real Reverb server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reverb
import tensorflow as tf
from numpy.typing import NDArray

from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.rate_limiter import Pacing, make_pacing
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.host import ports

CODEC = RowCodec(
    Specs(tf.TensorSpec((3,), tf.float32), tf.TensorSpec((1,), tf.float32))
)
# A fetch of small batches must fit into the slack.
PACING = Pacing(capacity=800, min_size=80, samples_per_insert=4.0, slack_samples=4000.0)


class GaveUp(Exception):
    """Raised out of a wait."""


def give_up(waited_secs: float) -> None:
    raise GaveUp(waited_secs)


def row(value: float) -> tuple[NDArray[Any], ...]:
    """Returns a packed transition that holds one value throughout."""
    return CODEC.pack(
        np.full(3, value), np.full(1, value), value, 1.0, np.full(3, value)
    )


def serve(folder: Path, pacing: Pacing, port: int) -> reverb.Server:
    """Starts a replay server; without a folder it would leave one in /tmp."""
    return reverb.Server(
        replay.make_tables(CODEC, pacing),
        port=port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(folder)),
    )


@pytest.fixture
def server(free_port: int, tmp_path: Path) -> Iterator[int]:
    """Yields the port of a replay server."""
    server = serve(tmp_path, PACING, free_port)
    yield free_port
    server.stop()


def insert(port: int, count: int) -> None:
    """Writes rows with the values 0, 1, 2, ..."""
    writer = replay.ExperienceWriter(
        replay.connect(port), CODEC, np.random.default_rng(0), shuffle_items=1
    )
    for value in range(count):
        writer.write(row(value), give_up)
    writer.flush(give_up)


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
    free_port: int, tmp_path: Path
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
    server = reverb.Server(
        replay.make_tables(codec, PACING),
        port=free_port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(tmp_path)),
    )
    writer = replay.ExperienceWriter(
        replay.connect(free_port), codec, np.random.default_rng(0), shuffle_items=1
    )

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
        writer.write(columns, give_up)
    writer.flush(give_up)
    dataset = replay.make_dataset(free_port, codec, batch_size=8, prefetch_batches=1)
    transition = codec.unpack(next(iter(dataset)))
    for index, value in enumerate(transition.next_time_step.reward.numpy()):
        for step, expected in (
            (transition.time_step, observation(int(value))),
            (transition.next_time_step, observation(int(value) + 1)),
        ):
            got = tf.nest.map_structure(lambda t, i=index: t[i], step.observation)
            tf.nest.map_structure(np.testing.assert_array_equal, got, expected)
    server.stop()


def test_rows_of_an_item_are_spread_over_many_batches(
    free_port: int, tmp_path: Path
) -> None:
    pacing = Pacing(100_000, 16_000, 1.0, 1e9)
    server = serve(tmp_path, pacing, free_port)
    insert(free_port, 16_000)
    dataset = replay.make_dataset(free_port, CODEC, batch_size=256, prefetch_batches=1)
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
    server.stop()


SEQUENCES = RowCodec(
    Specs(tf.TensorSpec((3,), tf.float32), tf.TensorSpec((1,), tf.float32)),
    sequence_length=5,
)


def test_sequences_keep_their_order_and_know_where_episodes_begin(
    free_port: int, tmp_path: Path
) -> None:
    server = reverb.Server(
        replay.make_tables(SEQUENCES, PACING),
        port=free_port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(tmp_path)),
    )
    client = replay.connect(free_port)
    writer = replay.ExperienceWriter(client, SEQUENCES, np.random.default_rng(0))
    for value in range(102):
        is_first = value % 12 == 0  # Episodes of 12.
        columns = SEQUENCES.pack(
            np.full(3, value), np.ones(1), value, 1.0, np.full(3, value + 1), is_first
        )
        writer.write(columns, give_up)
    writer.flush(give_up)
    info = replay.read_replay(client)
    assert info is not None
    assert info.num_inserts == 100
    dataset = replay.make_dataset(
        free_port, SEQUENCES, batch_size=4, prefetch_batches=1
    )
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
    server.stop()


def test_large_rows_have_an_item_each() -> None:
    image = tf.TensorSpec((64, 64, 3), tf.uint8)
    codec = RowCodec(Specs(image, tf.TensorSpec((1,), tf.float32)))
    assert (codec.rows_per_item, codec.batches_per_fetch) == (1, 1)


def test_items_hold_rows_that_are_far_apart(server: int) -> None:
    client = replay.connect(server)
    writer = replay.ExperienceWriter(client, CODEC, np.random.default_rng(0))
    for value in range(800):
        writer.write(row(value), give_up)
    writer.flush(give_up)
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
    writer = replay.ExperienceWriter(
        replay.connect(server), CODEC, np.random.default_rng(0), shuffle_items=1
    )
    for value in range(20):
        if value % 5 == 0:  # Episodes of 5.
            writer.flush(give_up)
        writer.write(row(value), give_up)
    writer.flush(give_up)
    info = replay.read_replay(replay.connect(server))
    assert info is not None
    assert info.num_inserts == 16


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


def test_prefetched_samples_stay_within_the_slack(
    load: Any, free_port: int, tmp_path: Path
) -> None:
    params = load(train_params={"n_buffer_init_episodes": 1, "num_steps_per_iter": 1})
    pacing = make_pacing(params, CODEC)
    server = serve(tmp_path, pacing, free_port)
    insert(free_port, pacing.min_size)
    dataset = replay.make_dataset(
        free_port, CODEC, params.train_batch_size, params.prefetch_batches
    )
    iterator = iter(dataset)
    next(iterator)
    time.sleep(0.5)  # Let the pipeline fill as far as it will.
    info = replay.read_replay(replay.connect(free_port))
    assert info is not None
    assert info.num_samples <= pacing.slack_samples
    server.stop()


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
    assert pacing.slack_samples == 500 * 256
    # A batch of sequences is that many more transitions.
    assert make_pacing(params, SEQUENCES).samples_per_insert == 128 * 5


def test_policy_is_published_and_pulled(server: int) -> None:
    client = replay.connect(server)
    publisher = variables.PolicyPublisher(client)
    for train_step in (0, 7):
        packed = np.full(5, train_step, np.uint8)
        publisher.publish(variables.PublishedPolicy(train_step, packed))
    info = replay.read_replay(client)
    assert info is not None
    assert info.has_policy
    policy = variables.pull_policy(client)
    assert policy is not None
    assert policy.train_step == 7
    np.testing.assert_array_equal(policy.packed, np.full(5, 7))


def test_publishing_survives_a_server_that_goes_away(
    free_port: int, tmp_path: Path
) -> None:
    server = serve(tmp_path / "first", PACING, free_port)
    publisher = variables.PolicyPublisher(replay.connect(free_port))
    published = threading.Event()

    def publish() -> None:
        train_step = 0
        while not published.is_set():
            train_step += 1
            packed = np.zeros(80_000, np.uint8)
            publisher.publish(variables.PublishedPolicy(train_step, packed))

    thread = threading.Thread(target=publish)
    thread.start()
    time.sleep(0.5)
    server.stop()
    time.sleep(0.5)
    before = publisher.last
    server = serve(tmp_path / "second", PACING, free_port)
    deadline = time.monotonic() + 30
    while publisher.last == before and time.monotonic() < deadline:
        time.sleep(0.1)
    published.set()
    thread.join(30)
    assert not thread.is_alive()
    policy = variables.pull_policy(replay.connect(free_port))
    server.stop()
    assert policy is not None
    assert before is not None
    assert policy.train_step > before.train_step


def test_absent_server_is_no_answer_and_no_hang(free_port: int) -> None:
    started = time.monotonic()
    assert replay.read_replay(replay.connect(free_port), timeout_secs=1) is None
    assert time.monotonic() - started < 30


def test_second_server_on_one_port_is_refused(server: int) -> None:
    with pytest.raises(UserError, match=f"port {server} is taken"):
        ports.check_free(server)
    with pytest.raises(UserError, match="is taken"):
        ports.choose_port({"SAC_REVERB_PORT": str(server)})


@pytest.mark.parametrize("text", ["0", "70000", "http"])
def test_bad_port_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="SAC_REVERB_PORT"):
        ports.choose_port({"SAC_REVERB_PORT": text})
