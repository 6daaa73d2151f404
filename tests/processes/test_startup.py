"""What every process does first, and its status file."""

from __future__ import annotations

import concurrent.futures
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.experiment import summaries
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.progress import read_status
from tfagents_system.processes import startup


@pytest.mark.parametrize("text", ["", "{", "[1]", "\\x00\\x00"])
def test_damaged_status_is_begun_anew(tmp_path: Path, text: str) -> None:
    experiment = Experiment(tmp_path)
    path = experiment.status("learner")
    path.parent.mkdir()
    path.write_text(text)
    status = startup.Status(experiment, "learner")
    assert status.get("train_step") is None
    assert read_status(experiment, "learner")["state"] == "starting"


def test_full_disk_does_not_end_a_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status = startup.Status(Experiment(tmp_path), "learner")
    writer = summaries.ScalarWriter(tmp_path / "train" / "learner", status)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        for step in range(2000):
            writer.write({"Losses/loss": 1.0}, step, step)
        writer.flush()
        status.set_state("training")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "status not written" in caplog.text
    status.set_state("training on")
    assert read_status(Experiment(tmp_path), "learner")["state"] == "training on"


def test_many_threads_may_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status = startup.Status(Experiment(tmp_path), "learner")

    def report(name: str) -> None:
        for number in range(300):
            status.update(write_now=True, **{f"{name}_{number}": number})

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(report, "abcd"))  # Raises what a thread raised.
    assert not caplog.records, "one thread was in the way of another"
    assert len(read_status(Experiment(tmp_path), "learner")) > 4 * 300


def test_progress_is_dated_by_counters_that_grow(tmp_path: Path) -> None:
    status = startup.Status(Experiment(tmp_path), "learner")
    status.report_progress(train_step=5)
    first = status.get("progress_at")
    status.report_progress(train_step=5)
    status.report_progress(train_step=3)  # After a restart from a checkpoint.
    assert status.get("progress_at") == first
    status.report_progress(train_step=4)
    assert status.get("progress_at") > first


def test_waiting_shows_and_is_over_when_it_is_over(tmp_path: Path) -> None:
    status = startup.Status(Experiment(tmp_path), "collect_worker_0")
    waits = startup.WaitLog(status)
    status.set_state("collecting")
    waits.waiting("the replay server", 1.0)
    waits.waiting("the replay server", 2.0)
    assert status.get("state") == "waiting for the replay server"
    waits.done()
    assert status.get("state") == "collecting"
    waits.done()
    assert status.get("state") == "collecting"


@pytest.mark.parametrize(
    ("body", "failures"),
    [
        ("return 0", 0),
        ("return 1", 1),
        ("raise UserError('bad')", 1),
        ("raise KeyError('bug')", 1),
    ],
)
def test_failures_are_written_down(tmp_path: Path, body: str, failures: int) -> None:
    code = (
        "from tfagents_system.processes import startup\n"
        "from tfagents_system.errors import UserError\n"
        f"def main():\n    {body}\n"
        "raise SystemExit(startup.run_service(main))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        check=False,
    )
    path = tmp_path / "failures"
    lines = path.read_text().splitlines() if path.exists() else []
    assert len(lines) == failures
    assert (result.returncode != 0) == bool(failures)


def test_summaries_that_would_jump_back_are_not_written(tmp_path: Path) -> None:
    import tensorflow as tf

    experiment = Experiment(tmp_path)
    folder = experiment.train_summaries("learner")
    status = startup.Status(experiment, "learner")
    writer = summaries.ScalarWriter(folder, status)
    for step in (100, 200, 300):
        writer.write({"Losses/loss": 1.0}, step, 10 * step)
    writer.flush()
    status.set_state("killed")
    # Resumes from train step 100, with the env steps of then.
    writer = summaries.ScalarWriter(folder, startup.Status(experiment, "learner"))
    for step in (200, 300, 400):
        writer.write({"Losses/loss": 2.0}, step, 10 * step - 500)
    writer.flush()
    steps: dict[str, list[int]] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                steps.setdefault(value.tag, []).append(event.step)
    assert steps["Losses/loss"] == [100, 200, 300, 300, 400]
    assert steps["Losses_vs_env_step/loss"] == [1000, 2000, 3000, 3500]
