"""TensorFlow's threads: set where nobody has, otherwise left."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY

CHECK = """
import tensorflow as tf
from tfagents_system.utils.comp import config_tf

threading = tf.config.threading
config_tf(n_interop_threads=2, n_intraop_threads=3)
assert threading.get_inter_op_parallelism_threads() == 2
assert threading.get_intra_op_parallelism_threads() == 3
config_tf(5, 5)  # A training has sized its processes' pools before.
assert threading.get_inter_op_parallelism_threads() == 2
tf.zeros(1).numpy()
config_tf()  # TensorFlow refuses from now on.
assert threading.get_intra_op_parallelism_threads() == 3
assert tf.config.get_visible_devices("GPU") == []
"""


def test_threads_are_set_once_and_never_refused() -> None:
    subprocess.run([sys.executable, "-c", CHECK], cwd=REPOSITORY, check=True)
