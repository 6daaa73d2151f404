"""How many CPUs this process may use, and how many threads TensorFlow starts."""

from __future__ import annotations

import os


def num_cpus() -> int:
    """Returns the number of CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # macOS does not have it.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_tensorflow_threads(num_ops: int) -> None:
    """Sizes TensorFlow's thread pools; call it before TensorFlow computes anything.

    The ops that run side by side are the shards of the learner's batch. Each op has
    one thread: a matrix product of a SAC network is too small to be worth splitting.

    Args:
      num_ops: Ops that may run at the same time, one a CPU.

    Raises:
      RuntimeError: TensorFlow has started its threads already.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(num_ops)
