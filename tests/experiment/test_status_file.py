"""Reading status files: typed, and never in the way of who reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tfagents_system.experiment import status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import (
    Awaited,
    CollectWorkerStatus,
    LearnerStatus,
    Phase,
    ReplayServerStatus,
    S,
    Status,
)
from tfagents_system.experiment.status_writer import StatusWriter

WORKER = "collect_worker_0"
COMMON = {"progress_at": 1.5, "written_steps": {"train": (3, 40), "eval": (1, 9)}}
# Name and kind of each status with a value for each of its fields.
KINDS: list[tuple[str, type[Status], dict[str, Any]]] = [
    ("launcher", Status, COMMON),
    (
        "replay_server",
        ReplayServerStatus,
        {**COMMON, "env_steps": 12, "num_samples": 256, "num_rows": 10},
    ),
    (
        "learner",
        LearnerStatus,
        {
            **COMMON,
            "train_step": 150,
            "iteration": 3,
            "num_iter": 10,
            "num_steps_per_iter": 50,
            "env_steps": 1200,
            "num_rows": 1000,
            "min_rows": 600,
            "train_steps_per_sec": 99.5,
            "env_steps_per_sec": 1e3,
            "problem": "no checkpoint: OSError: disk full",
        },
    ),
    (
        WORKER,
        CollectWorkerStatus,
        {
            **COMMON,
            "worker_env_steps": 7400,
            "worker_episodes": 37,
            "worker_eval_episodes": 10,
            "policy_train_step": 150,
            "train_return": -250.25,
            "train_success_rate": 0.5,
            "last_eval_iteration": 2,
            "eval_train_step": 100,
            "eval_return": -200.0,
            "eval_success_rate": 0.75,
            "best_eval_return": -190.5,
            "best_eval_train_step": 50,
            "curriculum": {"mass": 0.5, "steps": 3},
        },
    ),
]
# What the version before the typed files wrote.
FORMAT_1 = {
    "pid": 4242,
    "state": "collecting",
    "state_since": 1700000000.5,
    "progress_at": 1700000001.5,
    "worker_env_steps": 7400,
    "worker_episodes": 37,
    "worker_eval_episodes": 10,
    "policy_train_step": 150,
    "train_return": -250.25,
    "train_success_rate": None,
    "last_eval_iteration": 2,
    "eval_return": -200,
    "best_eval_return": -190.5,
    "best_eval_train_step": 50,
    "written_train": [150, 7400],
    "curriculum": {"mass": 0.5},
}


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    experiment = Experiment(tmp_path)
    experiment.status("").parent.mkdir()
    return experiment


def write(experiment: Experiment, name: str, contents: str | bytes | Any) -> None:
    """Writes a status file: bytes and text as they are, anything else as JSON."""
    if not isinstance(contents, (bytes, str)):
        contents = json.dumps(contents)
    if isinstance(contents, str):
        contents = contents.encode()
    experiment.status(name).write_bytes(contents)


@pytest.mark.parametrize(("name", "kind", "values"), KINDS)
def test_what_is_written_is_read_again(
    experiment: Experiment, name: str, kind: type[S], values: dict[str, Any]
) -> None:
    writer = StatusWriter(experiment, name, kind)
    with writer.edit() as status:
        for field, value in values.items():
            assert getattr(status, field) != value
            setattr(status, field, value)
    for phase in Phase:
        writer.enter(phase, Awaited.EXPERIENCE, failure="why")
        read = status_file.read_status(experiment, name, kind)
        assert type(read) is kind
        assert read == writer.value
        assert (read.phase, read.failure) == (phase, "why")
    for awaited in Awaited:
        writer.enter(Phase.WAITING, awaited)
        assert status_file.read_status(experiment, name, kind).waiting_for is awaited


@pytest.mark.parametrize(
    "contents",
    [
        "",
        "{",
        "[1]",
        "null",
        "\x00\x00",
        b"\xff\xfe",
        b'{"failure": "\xff"}',
        '{"format": 2, "phase": "collecting", "worker_epis',
        {"format": 2, "phase": "dancing"},
        {"format": 2, "phase": None},
        {"format": 2, "waiting_for": "Godot"},
        {"format": 2, "worker_episodes": "37"},
        {"format": 2, "worker_episodes": 37.5},
        {"format": 2, "worker_episodes": None},
        {"format": 2, "train_return": "high"},
        {"format": 2, "curriculum": [1]},
        {"format": 2, "written_steps": {"train": [1]}},
        {"format": status_file.FORMAT + 1, "phase": "collecting"},
        {"format": 0, "phase": "collecting"},
        {"format": "2", "phase": "collecting"},
    ],
    ids=str,
)
def test_a_file_that_is_not_understood_is_of_an_unknown_phase(
    experiment: Experiment, contents: Any
) -> None:
    write(experiment, WORKER, contents)
    assert status_file.read_worker(experiment, WORKER) == CollectWorkerStatus(
        phase=Phase.UNKNOWN
    )
    assert status_file.read_workers(experiment) == [CollectWorkerStatus()]


def test_a_file_that_is_cut_anywhere_is_of_an_unknown_phase(
    experiment: Experiment,
) -> None:
    StatusWriter(experiment, WORKER, CollectWorkerStatus).enter(Phase.COLLECTING)
    whole = experiment.status(WORKER).read_bytes().rstrip()
    for length in range(len(whole)):
        write(experiment, WORKER, whole[:length])
        read = status_file.read_worker(experiment, WORKER)
        assert read == CollectWorkerStatus(), whole[:length]


def test_what_cannot_be_read_is_of_an_unknown_phase(experiment: Experiment) -> None:
    experiment.status(WORKER).mkdir()
    assert status_file.read_worker(experiment, WORKER).phase is Phase.UNKNOWN


def test_without_a_file_a_process_has_not_started(tmp_path: Path) -> None:
    for name, kind, _ in KINDS:
        status = status_file.read_status(Experiment(tmp_path), name, kind)
        assert status == kind(phase=Phase.NOT_STARTED)
        assert status.describe() == "not started"
    assert status_file.read_workers(Experiment(tmp_path)) == []


def test_a_file_of_the_version_before_keeps_its_counters(
    experiment: Experiment,
) -> None:
    write(experiment, WORKER, FORMAT_1)
    read = status_file.read_worker(experiment, WORKER)
    assert read == CollectWorkerStatus(
        format=1,
        phase=Phase.UNKNOWN,
        pid=4242,
        progress_at=1700000001.5,
        written_steps={"train": (150, 7400)},
        worker_env_steps=7400,
        worker_episodes=37,
        worker_eval_episodes=10,
        policy_train_step=150,
        train_return=-250.25,
        last_eval_iteration=2,
        eval_return=-200.0,
        best_eval_return=-190.5,
        best_eval_train_step=50,
        curriculum={"mass": 0.5},
    )
    learner = {"state": "training", "train_step": 150, "num_iter": 10, "problem": ""}
    write(experiment, "learner", learner)
    assert status_file.read_learner(experiment).counters == (150,)
    replay_server = {"state": "serving", "env_steps": 12, "num_rows": 10}
    write(experiment, "replay_server", replay_server)
    assert status_file.read_replay_server(experiment).env_steps == 12


def test_fields_that_are_not_known_are_ignored(experiment: Experiment) -> None:
    write(
        experiment,
        "learner",
        {"format": 2, "phase": "training", "train_step": 5, "mood": ["good"]},
    )
    assert status_file.read_learner(experiment) == LearnerStatus(
        format=2, phase=Phase.TRAINING, train_step=5
    )


def test_each_service_has_the_status_of_its_kind(experiment: Experiment) -> None:
    for name, kind, _ in KINDS[1:]:
        assert type(status_file.read_service(experiment, name)) is kind


def test_workers_of_earlier_runs_count_too(experiment: Experiment) -> None:
    for worker, episodes in ((0, 3), (1, 4), (10, 5)):
        name = f"collect_worker_{worker}"
        write(experiment, name, {"format": 2, "worker_episodes": episodes})
    write(experiment, "learner", {"format": 2})
    # Being written, see `host.files.write_bytes`.
    (experiment.status("").parent / ".collect_worker_2.json.77").write_text("{")
    workers = status_file.read_workers(experiment)
    assert sorted(worker.worker_episodes for worker in workers) == [3, 4, 5]


def test_what_people_read_of_each_phase() -> None:
    for phase in set(Phase) - {Phase.WAITING, Phase.FAILED}:
        assert Status(phase=phase).describe() == phase.value
    assert Status(phase=Phase.WARMING_UP).describe() == "collecting with random actions"


@pytest.mark.parametrize("awaited", Awaited)
def test_a_wait_is_for_something(awaited: Awaited) -> None:
    status = Status(phase=Phase.WAITING, waiting_for=awaited)
    assert status.describe() == f"waiting for {awaited.value}"
    # What was waited for before says nothing in another phase.
    status.phase = Phase.COLLECTING
    assert status.describe() == "collecting"
    assert Status(phase=Phase.WAITING).describe() == "waiting"


def test_the_learner_says_how_much_of_the_warm_up_there_is() -> None:
    status = LearnerStatus(
        phase=Phase.WAITING,
        waiting_for=Awaited.WARM_UP,
        num_rows=1200,
        min_rows=10000,
    )
    assert status.describe() == (
        "waiting for the first experience (1,200 of 10,000 rows)"
    )
    status.waiting_for = Awaited.EXPERIENCE
    assert status.describe() == "waiting for experience"


def test_a_failure_says_why() -> None:
    status = Status(phase=Phase.FAILED, failure="ValueError: the loss is NaN")
    assert status.describe() == "failed: ValueError: the loss is NaN"


def test_counters_are_what_grows_with_the_work_of_each_kind() -> None:
    assert Status().counters == ()
    assert ReplayServerStatus(env_steps=3, num_samples=7).counters == (3, 7)
    # Not env_steps, which others collect.
    assert LearnerStatus(train_step=5, env_steps=9).counters == (5,)
    worker = CollectWorkerStatus(worker_env_steps=3, worker_eval_episodes=2)
    assert worker.counters == (3, 2)
