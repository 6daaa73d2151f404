"""What update.py and worker.py share: rows of the Minitaur's size, a replay server."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

OBSERVATION_DIM, ACTION_DIM = 28, 8


def make_params() -> Any:
    """Returns a TrainParams with the default hyperparameters."""
    from tfagents_system.train_params_base import TrainParamsBase

    class TrainParams(TrainParamsBase):
        def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    return TrainParams({"horizon": 1000})


def make_specs() -> Any:
    """Returns the specs of the Minitaur's sizes."""
    import tensorflow as tf
    from tf_agents.specs import tensor_spec

    from tfagents_system.algorithm.specs import Specs

    return Specs(
        tf.TensorSpec((OBSERVATION_DIM,), tf.float32),
        tensor_spec.BoundedTensorSpec((ACTION_DIM,), tf.float32, -1, 1),
    )


def make_writer(server: ReplayProcess, codec: Any) -> Any:
    """Returns a worker's writer to the replay server."""
    from tfagents_system.dataflow import replay
    from tfagents_system.dataflow.n_step import NStep

    def ignore_wait(waited_secs: float) -> None:
        pass

    return replay.ExperienceWriter(
        replay.connect(server.port),
        codec,
        NStep(),
        np.random.default_rng(0),
        ignore_wait,
    )


def random_rows(codec: Any, num_rows: int) -> Iterator[Any]:
    """Yields packed random transitions."""
    rng = np.random.default_rng(0)
    for _ in range(num_rows):
        yield codec.pack(
            rng.standard_normal(OBSERVATION_DIM),
            rng.uniform(-1, 1, ACTION_DIM),
            rng.standard_normal(),
            1.0,
            rng.standard_normal(OBSERVATION_DIM),
        )


class ReplayProcess:
    """A replay server in a process of its own, on the same CPUs as this one.

    Its work is part of the cost of a gradient step and of a worker's step.

    Attributes:
      port: Its TCP port.
    """

    def __init__(self) -> None:
        """Starts it, empty and without pacing."""
        from tfagents_system.host import ports

        context = multiprocessing.get_context("spawn")
        self._connection, child = context.Pipe()
        self.port = ports.choose_port()
        self._process = context.Process(
            target=_serve, args=(self.port, child), daemon=True
        )
        self._process.start()
        self._connection.recv()

    def cpu_secs(self) -> float:
        """Returns the CPU seconds that the server has used."""
        self._connection.send("cpu")
        return float(self._connection.recv())

    def close(self) -> None:
        """Ends it."""
        self._connection.send("end")
        self._process.join()


def _serve(port: int, connection: Any) -> None:
    import reverb

    from tfagents_system.dataflow import rate_limiter, replay, rows

    pacing = rate_limiter.Pacing(1_000_000, 1, 1.0, 1e15)
    tables = replay.make_tables(rows.RowCodec(make_specs()), pacing)
    _server = reverb.Server(tables, port=port)
    connection.send("up")
    while connection.recv() == "cpu":
        connection.send(time.process_time())
    os._exit(0)
