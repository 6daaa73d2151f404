"""How far a run is, from what its processes say."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tfagents_system.experiment import progress
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.progress import read_progress
from tfagents_system.experiment.status_file import (
    CollectWorkerStatus,
    LearnerStatus,
    Phase,
    ReplayServerStatus,
)
from tfagents_system.experiment.status_writer import StatusWriter

NAMES = ["replay_server", "learner", "collect_worker_0", "collect_worker_1"]


def write_worker(experiment: Experiment, worker: int, **fields: float) -> None:
    name = f"collect_worker_{worker}"
    status = StatusWriter(experiment, name, CollectWorkerStatus)
    with status.edit(write_now=True) as value:
        for field, number in fields.items():
            setattr(value, field, number)


def test_before_anything_has_started_nothing_is_known(tmp_path: Path) -> None:
    now = read_progress(Experiment(tmp_path), NAMES)
    assert now.learner == LearnerStatus(phase=Phase.NOT_STARTED)
    assert (now.env_steps, now.total_train_steps) == (0, 0)
    assert now.train_return is now.eval_return is None
    assert now.train_success_rate is now.eval_success_rate is None
    assert now.stalled_secs == 0
    assert not now.is_stalled


def test_progress_is_put_together_from_all_processes(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    learner = StatusWriter(experiment, "learner", LearnerStatus)
    with learner.edit(write_now=True) as value:
        value.train_step, value.num_iter, value.num_steps_per_iter = 150, 10, 50
        value.env_steps = 1100  # Of a moment ago.
    server = StatusWriter(experiment, "replay_server", ReplayServerStatus)
    with server.edit(write_now=True) as served:
        served.env_steps = 1200
    write_worker(experiment, 0, train_return=1.0, eval_return=4.0)
    write_worker(experiment, 1, train_return=2.0, train_success_rate=0.5)
    # Of an earlier run with more workers.
    write_worker(experiment, 2, train_return=100.0)
    now = read_progress(experiment, NAMES)
    assert now.learner == learner.value
    assert (now.env_steps, now.total_train_steps) == (1200, 500)
    # Means of those who have a value.
    assert (now.train_return, now.eval_return) == (1.5, 4.0)
    assert (now.train_success_rate, now.eval_success_rate) == (0.5, None)


def test_a_run_stalls_when_no_process_makes_progress(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    long_ago = time.time() - progress.STALL_SECS - 100
    for worker in (0, 1):
        write_worker(experiment, worker, progress_at=long_ago)
    stalled = read_progress(experiment, NAMES)
    assert stalled.stalled_secs == pytest.approx(progress.STALL_SECS + 100, abs=30)
    assert stalled.is_stalled
    write_worker(experiment, 1, progress_at=time.time())
    assert not read_progress(experiment, NAMES).is_stalled
    # A clock that was set back.
    write_worker(experiment, 1, progress_at=time.time() + 1000)
    assert read_progress(experiment, NAMES).stalled_secs == 0


def test_episodes_of_earlier_runs_count(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    assert progress.count_episodes(experiment) == 0
    for worker, episodes in ((0, 30), (1, 4), (7, 3)):
        write_worker(experiment, worker, worker_episodes=episodes)
    assert progress.count_episodes(experiment) == 37
