"""Writing status files: from any thread, over restarts, on a full disk."""

from __future__ import annotations

import concurrent.futures
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.experiment import status_file, status_writer
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import (
    Awaited,
    CollectWorkerStatus,
    LearnerStatus,
    Phase,
)
from tfagents_system.experiment.status_writer import StatusWriter

WORKER = "collect_worker_0"


def make_learner(folder: Path) -> StatusWriter[LearnerStatus]:
    return StatusWriter(Experiment(folder), "learner", LearnerStatus)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00\x00"])
def test_damaged_status_is_begun_anew(tmp_path: Path, text: str) -> None:
    experiment = Experiment(tmp_path)
    path = experiment.status("learner")
    path.parent.mkdir()
    path.write_text(text)
    status = make_learner(tmp_path)
    assert status.value.train_step == 0
    read = status_file.read_learner(experiment)
    assert (read.phase, read.pid) == (Phase.STARTING, os.getpid())
    assert read.format == status_file.FORMAT


def test_a_process_begins_with_what_a_former_one_remembered(tmp_path: Path) -> None:
    with make_learner(tmp_path).edit(write_now=True) as former:
        former.train_step, former.pid = 150, 1
        former.phase, former.failure = Phase.FAILED, "KeyError: 'bug'"
        former.written_steps["train"] = (150, 7400)
    started = time.time()
    value = make_learner(tmp_path).value
    assert value == status_file.read_learner(Experiment(tmp_path))
    assert (value.train_step, value.written_steps) == (150, {"train": (150, 7400)})
    assert (value.phase, value.failure, value.pid) == (Phase.STARTING, "", os.getpid())
    assert started <= value.phase_since <= time.time()


def test_a_process_that_was_killed_while_it_started_is_begun_anew(
    tmp_path: Path,
) -> None:
    with make_learner(tmp_path).edit(write_now=True) as former:
        former.pid, former.phase_since = 1, 5.0
    make_learner(tmp_path)
    read = status_file.read_learner(Experiment(tmp_path))
    assert read.pid == os.getpid()
    assert read.phase_since > 5.0


def test_a_status_of_the_version_before_is_carried_on(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    path = experiment.status(WORKER)
    path.parent.mkdir()
    path.write_text(
        json.dumps(
            {"state": "collecting", "worker_episodes": 37, "best_eval_return": -190.5}
        )
    )
    status = StatusWriter(experiment, WORKER, CollectWorkerStatus)
    assert status.value.worker_episodes == 37
    written = json.loads(path.read_text())
    assert written["format"] == status_file.FORMAT
    assert (written["worker_episodes"], written["best_eval_return"]) == (37, -190.5)
    assert "state" not in written


def test_full_disk_does_not_end_a_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status = make_learner(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        status.enter(Phase.TRAINING)
        with status.edit(write_now=True) as value:
            value.train_step = 5
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "status not written" in caplog.text
    # What was written before is whole.
    before = status_file.read_learner(Experiment(tmp_path))
    assert (before.phase, before.train_step) == (Phase.STARTING, 0)
    status.enter(Phase.CHECKPOINTING)
    read = status_file.read_learner(Experiment(tmp_path))
    assert (read.phase, read.train_step) == (Phase.CHECKPOINTING, 5)


def test_many_threads_may_edit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    status = make_learner(tmp_path)

    def report(name: str) -> None:
        for number in range(300):
            with status.edit(write_now=True) as value:
                value.train_step += 1
                value.written_steps[f"{name}_{number}"] = (number, number)
            if name == "a":
                status.enter(Phase.TRAINING if number % 2 else Phase.CHECKPOINTING)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(report, "abcd"))  # Raises what a thread raised.
    assert not caplog.records, "one thread was in the way of another"
    read = status_file.read_learner(Experiment(tmp_path))
    assert read == status.value
    assert read.train_step == len(read.written_steps) == 4 * 300


def test_progress_is_dated_by_counters_that_grow(tmp_path: Path) -> None:
    status = make_learner(tmp_path)
    assert status.value.progress_at == 0

    def edit(train_step: int, env_steps: int) -> float:
        with status.edit() as value:
            value.train_step, value.env_steps = train_step, env_steps
        return status.value.progress_at

    first = edit(5, 0)
    assert first > 0
    # The learner's own counter is the train step.
    assert edit(5, 100) == first
    assert edit(3, 100) == first  # After a restart from a checkpoint.
    assert edit(4, 100) > first


def test_each_counter_of_a_process_dates_its_progress(tmp_path: Path) -> None:
    status = StatusWriter(Experiment(tmp_path), WORKER, CollectWorkerStatus)
    dates = [status.value.progress_at]
    for counter in CollectWorkerStatus.COUNTERS:
        with status.edit() as value:
            setattr(value, counter, 1)
        dates.append(status.value.progress_at)
    assert dates == sorted(set(dates))


def test_an_edit_that_fails_is_not_written(tmp_path: Path) -> None:
    status = make_learner(tmp_path)

    def fail() -> None:
        with status.edit(write_now=True) as value:
            value.train_step = 5
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert status_file.read_learner(Experiment(tmp_path)).train_step == 0
    status.enter(Phase.TRAINING)  # The lock is free again.


def test_the_file_is_written_once_a_period_unless_it_is_urgent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_writer, "WRITE_PERIOD_SECS", 3600.0)
    status = make_learner(tmp_path)
    for train_step, write_now, written in ((1, False, 0), (2, True, 2), (3, False, 2)):
        with status.edit(write_now) as value:
            value.train_step = train_step
        assert status_file.read_learner(Experiment(tmp_path)).train_step == written
    monkeypatch.setattr(status_writer, "WRITE_PERIOD_SECS", 0.0)
    with status.edit():
        pass
    assert status_file.read_learner(Experiment(tmp_path)).train_step == 3


def test_a_phase_is_entered_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    status = make_learner(tmp_path)
    for _ in range(3):
        status.enter(Phase.WAITING, Awaited.REPLAY_SERVER)
    since = status.value.phase_since
    status.enter(Phase.WAITING, Awaited.EXPERIENCE)
    assert status.value.phase_since > since
    status.enter(Phase.FAILED, failure="ValueError: NaN")
    status.enter(Phase.STOPPED)
    assert (status.value.waiting_for, status.value.failure) == (None, "")
    assert [record.getMessage() for record in caplog.records] == [
        "starting",
        "waiting for the replay server",
        "waiting for experience",
        "failed: ValueError: NaN",
        "stopped",
    ]


def test_an_earlier_runs_phase_is_forgotten_and_its_counters_stay(
    tmp_path: Path,
) -> None:
    experiment = Experiment(tmp_path)
    status = StatusWriter(experiment, WORKER, CollectWorkerStatus)
    with status.edit() as value:
        value.worker_episodes, value.best_eval_return = 37, -190.5
        value.written_steps["eval"] = (150, 7400)
    status.enter(Phase.WAITING, Awaited.POLICY, failure="long ago")
    now = time.time()
    status_writer.forget(experiment, WORKER)
    read = status_file.read_worker(experiment, WORKER)
    assert (read.phase, read.waiting_for, read.failure, read.pid) == (
        Phase.NOT_STARTED,
        None,
        "",
        None,
    )
    # A new run does not begin with the stall of an earlier one.
    assert now <= read.phase_since == read.progress_at <= time.time()
    assert (read.worker_episodes, read.best_eval_return) == (37, -190.5)
    assert read.written_steps == {"eval": (150, 7400)}


def test_forgetting_makes_no_status_and_mends_a_damaged_one(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    status_writer.forget(experiment, "learner")
    assert not experiment.status("learner").exists()
    experiment.status("learner").parent.mkdir()
    experiment.status("learner").write_text("{")
    status_writer.forget(experiment, "learner")
    assert status_file.read_learner(experiment).phase is Phase.NOT_STARTED


def test_readers_see_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Reads while another process writes as fast as it can."""
    code = (
        "import sys, pathlib\n"
        "from tfagents_system.experiment.directory import Experiment\n"
        "from tfagents_system.experiment.status_file import LearnerStatus\n"
        "from tfagents_system.experiment.status_writer import StatusWriter\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "status = StatusWriter(Experiment(folder), 'learner', LearnerStatus)\n"
        "for step in range(1000):\n"
        "    with status.edit(write_now=True) as value:\n"
        "        value.train_step = value.env_steps = step\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY
    ) as writer:
        seen = set()
        while writer.poll() is None:
            read = status_file.read_learner(Experiment(tmp_path))
            assert read.phase is not Phase.UNKNOWN
            assert read.train_step == read.env_steps
            seen.add(read.train_step)
    assert writer.returncode == 0
    assert len(seen) > 10
