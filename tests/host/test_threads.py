"""CPUs and threads of a process."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import REPOSITORY
from tfagents_system.host import threads


def run(*command: str) -> list[str]:
    """Runs a command in the repository; returns its last line in words."""
    output = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    return output.splitlines()[-1].split()


def test_cpus_are_those_that_the_process_may_use() -> None:
    assert threads.num_cpus() == len(os.sched_getaffinity(0))
    cpu = str(min(os.sched_getaffinity(0)))
    code = "from tfagents_system.host import threads; print(threads.num_cpus())"
    assert run("taskset", "-c", cpu, sys.executable, "-c", code) == ["1"]


def test_tensorflow_has_a_thread_for_each_op_at_a_time() -> None:
    code = (
        "from tfagents_system.host import threads\n"
        "threads.limit_tensorflow_threads(3)\n"
        "import tensorflow as tf\n"
        "config = tf.config.threading\n"
        "tf.constant(1.0) + 1.0\n"
        "try:\n"
        "    threads.limit_tensorflow_threads(2)\n"
        "except RuntimeError:\n"
        "    print(config.get_intra_op_parallelism_threads(),\n"
        "          config.get_inter_op_parallelism_threads(), 'too late')\n"
    )
    assert run(sys.executable, "-c", code) == ["1", "3", "too", "late"]
