"""Gradient steps against the matrix-product roofline, with and without the replay.

Runs on the CPUs that it is pinned to (taskset) and prints one JSON line. The networks
are the default ones, for the Minitaur's 28 observations and 8 actions.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import numpy as np
from workload import (
    ReplayProcess,
    make_params,
    make_specs,
    make_writer,
    random_rows,
)

BATCH_SIZE = 256
NUM_ROWS = 20_000


def count_matmul_flops(graph: Any) -> int:
    """Counts the floating-point operations of the matrix products of a graph."""
    flops = 0
    for op in graph.get_operations():
        if op.type == "MatMul":
            rows, columns = op.outputs[0].shape
            inner = op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
            flops += 2 * rows * columns * inner
    return flops


def measure_roofline(num_cpus: int) -> float:
    """Returns GFLOP/s of large matrix products, one on each CPU side by side."""
    import tensorflow as tf

    size = 1024
    matrices = [tf.random.normal((size, size)) for _ in range(num_cpus)]

    def multiply_all() -> Any:
        products = [matrix @ matrix for matrix in matrices]
        for _ in range(9):
            products = [
                product @ matrix * 1e-2 for product, matrix in zip(products, matrices)
            ]
        return tf.add_n(products)

    multiply = tf.function(multiply_all)
    multiply()
    best = 0.0
    for _ in range(10):
        started = time.perf_counter()
        multiply().numpy()
        secs = time.perf_counter() - started
        best = max(best, num_cpus * 10 * 2 * size**3 / secs / 1e9)
    return best


def measure(num_steps: int, repeats: int) -> dict[str, Any]:
    """Measures on the CPUs of this process.

    Args:
      num_steps: Gradient steps of a repeat.
      repeats: How many.

    Returns:
      The roofline; milliseconds per gradient step, one value for each repeat; how close
      the fastest repeat comes to the roofline; and the cost of sampling a batch.
    """
    import tensorflow as tf

    from tfagents_system.dataflow import replay, rows
    from tfagents_system.host import threads
    from tfagents_system.learning.build import build_agent
    from tfagents_system.learning.gradient_steps import GradientSteps
    from tfagents_system.settings.hyperparameters import Execution

    num_cpus = threads.num_cpus()
    threads.limit_tensorflow_threads(num_cpus)
    roofline = measure_roofline(num_cpus)
    specs = make_specs()
    codec = rows.RowCodec(specs)
    batch = tuple(
        tf.constant(np.stack(column)) for column in zip(*random_rows(codec, BATCH_SIZE))
    )

    server = ReplayProcess()
    writer = make_writer(server, codec)
    for row in random_rows(codec, NUM_ROWS):
        writer.write(row)
    writer.flush()
    result: dict[str, Any] = {"num_cpus": num_cpus, "roofline_gflops": roofline}
    datasets = {
        "update": tf.data.Dataset.from_tensors(batch).repeat(),
        "update_with_data": replay.make_dataset(server.port, codec, BATCH_SIZE, 3),
    }
    for name, dataset in datasets.items():
        agent = build_agent(make_params(), specs, Execution(num_batch_shards=num_cpus))
        graph = tf.function(agent.train).get_concrete_function(codec.unpack(batch))
        flops = count_matmul_flops(graph.graph)
        steps = GradientSteps(agent, codec, dataset)
        steps.run(20)
        measured: dict[str, list[float]] = {
            "wall_ms": [],
            "cpu_ms": [],
            "server_cpu_ms": [],
        }
        for _ in range(repeats):
            before = time.perf_counter(), time.process_time(), server.cpu_secs()
            steps.run(num_steps)
            after = time.perf_counter(), time.process_time(), server.cpu_secs()
            for values, start, end in zip(measured.values(), before, after):
                values.append((end - start) / num_steps * 1e3)
        gflops = flops / min(measured["wall_ms"]) / 1e6
        result[name] = {
            **measured,
            "gflop": flops / 1e9,
            "of_roofline": gflops / roofline,
        }

    iterator = iter(datasets["update_with_data"])

    def sample_batches(count: Any) -> Any:
        total = 0.0
        for _ in tf.range(count):
            total += codec.unpack(next(iterator)).next_time_step.reward[0]
        return total

    sample = tf.function(sample_batches)
    sample(tf.constant(64))
    cpu, server_cpu = time.process_time(), server.cpu_secs()
    count = 640
    sample(tf.constant(count))
    result["sample"] = {
        "client_cpu_ms": (time.process_time() - cpu) / count * 1e3,
        "server_cpu_ms": (server.cpu_secs() - server_cpu) / count * 1e3,
    }
    server.close()
    return result


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num_steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    print(json.dumps(measure(args.num_steps, args.repeats)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
