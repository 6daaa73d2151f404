"""Waits: they show in the status and in the log, and end when they are over."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from tfagents_system.experiment import status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import (
    Awaited,
    CollectWorkerStatus,
    Phase,
)
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.processes import waiting

WORKER = "collect_worker_0"


@pytest.fixture
def status(tmp_path: Path) -> StatusWriter[CollectWorkerStatus]:
    return StatusWriter(Experiment(tmp_path), WORKER, CollectWorkerStatus)


def test_waiting_shows_and_is_over_when_it_is_over(
    tmp_path: Path, status: StatusWriter[CollectWorkerStatus]
) -> None:
    waits = waiting.WaitLog(status)
    status.enter(Phase.COLLECTING)
    waits.waiting(Awaited.REPLAY_SERVER, 1.0)
    waits.waiting(Awaited.REPLAY_SERVER, 2.0)
    read = status_file.read_worker(Experiment(tmp_path), WORKER)
    assert (read.phase, read.waiting_for) == (Phase.WAITING, Awaited.REPLAY_SERVER)
    assert read.describe() == "waiting for the replay server"
    waits.done()
    assert status.value.phase is Phase.COLLECTING
    waits.done()
    assert status.value.phase is Phase.COLLECTING


def test_a_wait_for_one_after_the_other_ends_in_the_phase_before(
    status: StatusWriter[CollectWorkerStatus],
) -> None:
    waits = waiting.WaitLog(status)
    status.enter(Phase.EVALUATING)
    waits.waiting(Awaited.REPLAY_SERVER, 0.0)
    waits.waiting(Awaited.POLICY, 1.0)
    assert status.value.describe() == "waiting for the learner's policy"
    waits.done()
    assert status.value.describe() == "evaluating"


def test_where_nobody_waited_nothing_changes(
    status: StatusWriter[CollectWorkerStatus],
) -> None:
    waits = waiting.WaitLog(status)
    waits.done()
    assert status.value.phase is Phase.STARTING
    # Each wait goes back to the phase of its own beginning.
    for phase in (Phase.COLLECTING, Phase.EVALUATING):
        status.enter(phase)
        waits.waiting(Awaited.ROOM_IN_REPLAY, 1.0)
        waits.done()
        assert status.value.phase is phase


def test_a_long_wait_is_logged_now_and_then(
    status: StatusWriter[CollectWorkerStatus], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="absl")
    waits = waiting.WaitLog(status)
    for waited_secs in range(0, 100):
        waits.waiting(Awaited.POLICY, waited_secs)
    waits.done()
    waits.waiting(Awaited.POLICY, 40)  # Another wait.
    assert [r.getMessage() for r in caplog.records if r.name == "absl"] == [
        f"still waiting for the learner's policy, {secs} s now"
        for secs in (30, 60, 90, 40)
    ]


def test_a_condition_is_waited_for(
    status: StatusWriter[CollectWorkerStatus],
) -> None:
    phases = []

    def condition() -> bool:
        phases.append(status.value.phase)
        return len(phases) == 3

    status.enter(Phase.LOADING)
    assert waiting.wait_until(condition, Awaited.POLICY, status, threading.Event())
    assert phases == [Phase.LOADING, Phase.WAITING, Phase.WAITING]
    assert status.value.phase is Phase.LOADING


def test_what_is_true_already_is_no_wait(
    tmp_path: Path, status: StatusWriter[CollectWorkerStatus]
) -> None:
    before = Experiment(tmp_path).status(WORKER).read_bytes()
    stop = threading.Event()
    stop.set()
    assert waiting.wait_until(lambda: True, Awaited.POLICY, status, stop)
    assert Experiment(tmp_path).status(WORKER).read_bytes() == before


def test_a_stop_ends_a_wait(status: StatusWriter[CollectWorkerStatus]) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    assert not waiting.wait_until(lambda: False, Awaited.POLICY, status, stop)
    timer.join()
    assert status.value.waiting_for is Awaited.POLICY
