"""TensorFlow's threads, as params files of the archived framework set them."""

from __future__ import annotations

import contextlib

import tensorflow as tf


def config_tf(n_interop_threads: int = 1, n_intraop_threads: int = 1) -> None:
    """Sizes TensorFlow's thread pools and hides GPUs, where that is not settled yet.

    The processes of a training have sized their pools before they load a params file,
    each by its CPUs: there, and where TensorFlow has computed something, they stay.

    Args:
      n_interop_threads: Ops that may run at the same time.
      n_intraop_threads: Threads of one op.
    """
    threading = tf.config.threading
    # TensorFlow refuses whatever comes after its first computation.
    with contextlib.suppress(RuntimeError):
        if not threading.get_inter_op_parallelism_threads():
            threading.set_inter_op_parallelism_threads(n_interop_threads)
            threading.set_intra_op_parallelism_threads(n_intraop_threads)
        tf.config.set_visible_devices([], "GPU")
