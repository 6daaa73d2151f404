"""The replay's memory: what it needs, what there is, and the warning."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.conftest import REPOSITORY
from tfagents_system.host import memory


def test_available_memory_is_the_smallest_limit(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9000 kB\nMemAvailable:    5000 kB\n")
    cgroup = tmp_path / "cgroup"
    cgroup.write_text("0::/slurm/job_1\n")
    root = tmp_path / "root"
    (root / "slurm" / "job_1").mkdir(parents=True)

    def available() -> int | None:
        return memory.available_bytes(meminfo, cgroup, root)

    assert available() == 5000 * 1024
    # A limit of an outer group holds as well.
    (root / "slurm" / "job_1" / "memory.max").write_text("max\n")
    (root / "slurm" / "job_1" / "memory.current").write_text("100\n")
    (root / "slurm" / "memory.max").write_text("3000\n")
    (root / "slurm" / "memory.current").write_text("1000\n")
    assert available() == 2000
    missing = tmp_path / "missing"
    assert memory.available_bytes(missing, missing, missing) is None
    assert memory.available_bytes()


def test_warning_has_the_numbers() -> None:
    assert memory.describe_shortage(8_000, 10_000) is None
    assert memory.describe_shortage(8_000, None) is None
    line = memory.describe_shortage(20_000_000_000, 10_000_000_000)
    assert line is not None
    assert "20.0 GB" in line
    assert "10.0 GB" in line
    assert "n_episodes_in_buffer to 40%" in line


def test_estimate_is_what_reverb_takes(tmp_path: Path) -> None:
    """Fills a replay in a process of its own and compares its memory."""
    script = """
        import os, sys
        import numpy as np, psutil, reverb, tensorflow as tf
        from tfagents_system.algorithm.specs import Specs
        from tfagents_system.dataflow import rate_limiter, replay, rows
        from tfagents_system.dataflow.n_step import NStep
        from tfagents_system.host import memory, ports

        codec = rows.RowCodec(Specs(
            tf.TensorSpec((28,), tf.float32), tf.TensorSpec((8,), tf.float32)))
        port = ports.choose_port()
        count = 80_000
        server = reverb.Server(
            replay.make_tables(codec, rate_limiter.Pacing(count, 1, 1.0, 1e15)),
            port=port,
            checkpointer=reverb.checkpointers.DefaultCheckpointer(sys.argv[1]))
        writer = replay.ExperienceWriter(
            replay.connect(port), codec, NStep(), np.random.default_rng(0), print)
        rng = np.random.default_rng(0)
        process = psutil.Process()
        before = None
        for index in range(count + 8_000):
            row = (rng.standard_normal(codec.columns[0].shape[0]).astype(np.float32),)
            writer.write(row)
            if index == 8_000:
                before = process.memory_info().rss
        writer.flush()
        taken = process.memory_info().rss - before
        estimate = memory.replay_bytes(
            count - 8_000, codec.bytes_per_row, codec.rows_per_item)
        print(taken, estimate, flush=True)
        os._exit(0)
    """
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    taken, estimate = map(int, output.split()[-2:])
    assert 0.6 < taken / estimate < 1.3


def test_a_full_replay_takes_its_rows_and_a_share_of_an_items_overhead() -> None:
    overhead = memory.OVERHEAD_BYTES_PER_ITEM
    assert memory.replay_bytes(1000, 100, 1) == 1000 * (100 + overhead)
    assert memory.replay_bytes(1000, 100, 8) == 1000 * (100 + overhead // 8)
