"""Saving while training goes on, against a real Reverb server."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import LendAgent
from tests.experiments import make_experiment
from tests.learning.helpers import make_batch, serve, write_rows
from tests.small_disk import filled, small_disk
from tests.waiting import wait_for
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import Row, RowCodec
from tfagents_system.errors import NotSaved
from tfagents_system.experiment import generations
from tfagents_system.experiment.status_file import LearnerStatus, read_learner
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.learning import checkpoint, policy_export
from tfagents_system.learning.saver import Saver

NUM_POLICY_CHECKPOINTS = 2
# Nothing is sampled, and yet nobody waits.
PACING = Pacing(capacity=10_000, min_size=1, samples_per_insert=1.0, slack_samples=1e6)


class Saving:
    """An agent, its saver, and the replay server that holds the other half."""

    def __init__(self, folder: Path, port: int, agent: Any, specs: Any) -> None:
        self.experiment = make_experiment(folder)
        self.codec = RowCodec(specs)
        self.port = port
        self.server = serve(self.experiment, self.codec, port, PACING)
        self.agent = agent
        self.status = StatusWriter(self.experiment, "learner", LearnerStatus)
        self.saver = Saver(
            self.experiment,
            self.agent,
            replay.connect(port),
            self.codec,
            self.status,
            NUM_POLICY_CHECKPOINTS,
        )

    def train(self) -> None:
        """Takes a gradient step."""
        self.agent.train(make_batch(self.codec, 0))

    def restart_server(self) -> None:
        """Starts a server again in the place of the one that was stopped."""
        self.server = serve(self.experiment, self.codec, self.port, PACING)

    def generations(self) -> list[int]:
        """Returns the train steps of the joint checkpoints, the newest first."""
        found = generations.list_generations(self.experiment)
        return [generation.train_step for generation in found]

    def policy_checkpoints(self) -> list[int]:
        """Returns the train steps of the policy checkpoints, the oldest first."""
        names = policy_export.list_checkpoints(self.experiment)
        return [int(name[-10:]) for name in names]

    def newest_is_intact(self) -> bool:
        """Returns whether nothing of the newest joint checkpoint is damaged."""
        with generations.locked(self.experiment):
            newest = generations.newest_intact(self.experiment)
        return newest is not None and newest.train_step == self.generations()[0]


@pytest.fixture
def saving(
    without_saved_models: None,
    pendulum: tuple[Any, Any, Any],
    lend_agent: LendAgent,
    free_port: int,
    tmp_path: Path,
) -> Iterator[Saving]:
    """Yields an agent that was trained for a step, saved."""
    params, _, specs = pendulum
    saving = Saving(tmp_path, free_port, lend_agent(params, specs), specs)
    saving.train()
    saving.saver.save().result(60)
    yield saving
    saving.server.stop()


@contextlib.contextmanager
def full_disk(num_bytes: int = 100) -> Iterator[None]:
    """Lets no file of this process grow beyond a size."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_the_future_completes_when_the_joint_checkpoint_is_there(
    saving: Saving, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_complete = threading.Event()
    complete = checkpoint.complete

    def wait_and_complete(*args: Any) -> Any:
        assert may_complete.wait(60)
        return complete(*args)

    monkeypatch.setattr(checkpoint, "complete", wait_and_complete)
    saving.train()
    future = saving.saver.save()
    # The agent is written: it may train while the replay is added.
    saving.train()
    assert not future.done()
    assert saving.generations() == [1]
    may_complete.set()
    assert future.result(60) is None
    assert saving.generations() == [2, 1]
    assert saving.policy_checkpoints() == [1, 2]
    status = read_learner(saving.experiment)
    assert (status.train_step, status.problem) == (3, "")


def test_what_is_saved_already_is_not_saved_again(saving: Saving) -> None:
    (before,) = saving.experiment.checkpoints.glob("generation_*")
    written_at = before.stat().st_mtime_ns
    future = saving.saver.save()
    assert future.done()
    assert future.result() is None
    assert saving.generations() == [1]
    assert before.stat().st_mtime_ns == written_at


def test_policy_checkpoints_are_few(saving: Saving) -> None:
    for _ in range(2):
        saving.train()
        saving.saver.save().result(60)
    assert saving.policy_checkpoints() == [2, 3]
    assert saving.generations() == [3, 2]


def check_not_saved(saving: Saving, future: Future[None]) -> None:
    """Checks that nothing is saved of train step 2, and that people learn of it."""
    error = future.exception(60)
    assert isinstance(error, NotSaved)
    assert str(error).startswith("no checkpoint: ")
    assert "\n" not in str(error)
    assert saving.status.value.problem == str(error)
    assert saving.generations() == [1]
    assert saving.newest_is_intact()


def check_saved(saving: Saving) -> None:
    """Checks that the problem is over: train step 2 is saved."""
    assert saving.generations() == [2, 1]
    assert saving.newest_is_intact()
    status = read_learner(saving.experiment)
    assert (status.train_step, status.problem) == (2, "")


def test_a_replay_server_that_is_away_costs_one_checkpoint(saving: Saving) -> None:
    saving.server.stop()
    saving.train()
    check_not_saved(saving, saving.saver.save())
    # The policy needs no server, nor does the status file.
    assert saving.policy_checkpoints() == [1, 2]
    problem = read_learner(saving.experiment).problem
    assert problem == saving.status.value.problem
    saving.restart_server()
    # The client has to connect again.
    wait_for(lambda: saving.saver.save().exception(60) is None, timeout_secs=60)
    check_saved(saving)


def incompressible_rows(codec: RowCodec, count: int) -> list[Row]:
    """Returns rows of numbers that Reverb cannot compress."""
    rng = np.random.default_rng(0)
    return [
        tuple(rng.normal(size=c.shape).astype(np.float32) for c in codec.columns)
        for _ in range(count)
    ]


def test_a_full_disk_costs_one_checkpoint(saving: Saving) -> None:
    saving.train()
    with full_disk():
        check_not_saved(saving, saving.saver.save())
    saving.saver.save().result(60)
    check_saved(saving)


def test_a_disk_that_is_full_only_for_the_replay_costs_one_checkpoint(
    saving: Saving,
) -> None:
    write_rows(saving.port, saving.codec, incompressible_rows(saving.codec, 8 * 200))
    saving.train()
    with full_disk(40_000):
        check_not_saved(saving, saving.saver.save())
        assert saving.policy_checkpoints() == [1, 2]
    saving.saver.save().result(60)
    check_saved(saving)


@pytest.fixture
def on_small_disk(
    pendulum: tuple[Any, Any, Any],
    lend_agent: LendAgent,
    free_port: int,
    tmp_path: Path,
) -> Iterator[Saving]:
    """Yields what `saving` does, on a disk of 8 MB."""
    params, _, specs = pendulum
    (folder := tmp_path / "disk").mkdir()
    with small_disk(folder, 8) as disk:
        saving = Saving(disk, free_port, lend_agent(params, specs), specs)
        saving.train()
        saving.saver.save().result(60)
        yield saving
        saving.server.stop()


def size(folder: Path) -> int:
    """Returns the bytes of the files in a folder, each once however often linked."""
    stats = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum({stat.st_ino: stat.st_size for stat in stats}.values())


def test_on_a_full_disk_training_goes_on_and_the_next_checkpoint_is_whole(
    on_small_disk: Saving,
) -> None:
    saving = on_small_disk
    root = saving.experiment.root
    before = size(root)
    saving.train()
    with filled(root.parent):
        with pytest.raises(NotSaved, match="No space left on device"):
            saving.saver.export_saved_models()
        for _ in range(2):
            error = saving.saver.save().exception(60)
            assert isinstance(error, NotSaved)
            for problem in (str(error), saving.status.value.problem):
                assert "No space left on device" in problem
                assert problem.endswith(f"MB free on the disk of {root}")
        assert saving.generations() == [1]
        assert size(root) <= before  # Nothing half written fills the disk again.
    saving.saver.save().result(60)
    check_saved(saving)
    # The saver owed the SavedModels.
    for name in ("greedy_policy", "collect_policy"):
        assert (saving.experiment.policies / name / "saved_model.pb").is_file()


def test_a_disk_too_small_for_the_replay_is_named_and_is_not_filled(
    on_small_disk: Saving,
) -> None:
    saving = on_small_disk
    root = saving.experiment.root
    write_rows(saving.port, saving.codec, incompressible_rows(saving.codec, 8 * 200))
    saving.train()
    saving.saver.save().result(60)
    with filled(root.parent):
        # Room for the learner's half, not for Reverb's.
        filler = root.parent / "filler"
        os.truncate(filler, filler.stat().st_size - 100_000)
        saving.train()
        free = shutil.disk_usage(root).free
        error = saving.saver.save().exception(60)
        assert isinstance(error, NotSaved)
        assert "replay" in str(error)
        assert "MB free on the disk of" in str(error)
        assert shutil.disk_usage(root).free >= free - 50_000
    saving.saver.save().result(60)
    assert saving.generations() == [3, 2]
    assert saving.newest_is_intact()


def test_an_unexpected_error_of_the_thread_is_raised_by_the_next_save(
    saving: Saving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "complete", fail)
        saving.train()
        future = saving.saver.save()
        assert isinstance(future.exception(60), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        saving.saver.save()


def test_the_first_save_exports_saved_models_and_the_next_one_does_not(
    on_small_disk: Saving,
) -> None:
    saving = on_small_disk

    def written_at() -> list[int]:
        names = ("greedy_policy", "collect_policy")
        paths = [saving.experiment.policies / n / "saved_model.pb" for n in names]
        return [path.stat().st_mtime_ns for path in paths]

    first = written_at()
    saving.train()
    saving.saver.save().result(60)
    assert written_at() == first
    # A stop has no time for it.
    stopped = Saver(
        saving.experiment,
        saving.agent,
        replay.connect(saving.port),
        saving.codec,
        saving.status,
        NUM_POLICY_CHECKPOINTS,
    )
    saving.train()
    stopped.save(is_stopping=True).result(60)
    assert written_at() == first
    # At the end of training.
    saving.saver.export_saved_models()
    last = written_at()
    assert all(new > old for new, old in zip(last, first))
    saving.saver.export_saved_models()
    assert written_at() == last
