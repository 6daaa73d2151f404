"""A real replay server, and rows to write into it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NoReturn

import numpy as np
import pytest
import reverb
import tensorflow as tf

from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import Row, RowCodec

SPECS = Specs(tf.TensorSpec((3,), tf.float32), tf.TensorSpec((1,), tf.float32))
CODEC = RowCodec(SPECS)
SEQUENCES = RowCodec(SPECS, sequence_length=5)
# A fetch of small batches must fit into the slack.
PACING = Pacing(capacity=800, min_size=80, samples_per_insert=4.0, slack_samples=4000.0)


class GaveUp(Exception):
    """Raised out of a wait."""


def give_up(waited_secs: float) -> NoReturn:
    """Ends a wait for the replay server."""
    raise GaveUp(waited_secs)


def serve(
    folder: Path, pacing: Pacing, port: int, codec: RowCodec = CODEC
) -> reverb.Server:
    """Starts a replay server; without a folder it would leave one in /tmp."""
    return reverb.Server(
        replay.make_tables(codec, pacing),
        port=port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(folder)),
    )


def make_writer(
    port: int, codec: RowCodec = CODEC, n_step: NStep | None = None
) -> replay.ExperienceWriter:
    """Returns a writer that gives up where it would wait."""
    return replay.ExperienceWriter(
        replay.connect(port),
        codec,
        n_step or NStep(),
        np.random.default_rng(0),
        give_up,
    )


def make_ordered_writer(
    port: int, codec: RowCodec = CODEC, n_step: NStep | None = None
) -> replay.ExperienceWriter:
    """Returns a writer that holds no rows back to shuffle them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "SHUFFLE_ITEMS", 1)
        return make_writer(port, codec, n_step)


def make_row(value: float) -> Row:
    """Returns a packed transition that holds one value throughout."""
    return CODEC.pack(
        np.full(3, value), np.full(1, value), value, 1.0, np.full(3, value)
    )


def insert(port: int, count: int) -> None:
    """Writes rows with the values 0, 1, 2, ... in this order."""
    writer = make_ordered_writer(port)
    for value in range(count):
        writer.write(make_row(value))
    writer.flush()


@pytest.fixture
def start_server(free_port: int, tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Yields a function that starts a replay server; it returns the port."""
    with contextlib.ExitStack() as stack:

        def start(pacing: Pacing = PACING, codec: RowCodec = CODEC) -> int:
            server = serve(tmp_path, pacing, free_port, codec)
            stack.callback(server.stop)
            return free_port

        yield start


@pytest.fixture
def server(start_server: Callable[..., int]) -> int:
    """Returns the port of a replay server."""
    return start_server()
