"""Checkpoints of the one-process mode."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from tests.agents import trained_variables
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import NotSaved, UserError
from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.learning.build import build_agent
from tfagents_system.one_process import checkpoints
from tfagents_system.one_process.checkpoints import Checkpoints
from tfagents_system.one_process.ring_buffer import RingBuffer

CAPACITY = 40
KEPT = 2


class Saved:
    """An agent, a replay, and their checkpoints."""

    def __init__(self, experiment: Experiment, params: Any, specs: Specs) -> None:
        self.agent = build_agent(params, specs)
        self._codec = RowCodec(specs)
        self.buffer = RingBuffer(self._codec, CAPACITY)
        self.checkpoints = Checkpoints(experiment, self.agent, self.buffer, KEPT)

    def advance(self, num_rows: int) -> None:
        """Adds rows and changes the agent."""
        for _ in range(num_rows):
            number = self.buffer.num_added
            state = np.full(3, number, np.float32)
            self.buffer.append(self._codec.pack(state, [0.0], 0.0, 1.0, state))
        self.agent._log_alpha.assign_add(1.0)

    def save(self, iteration: int) -> None:
        """Writes a checkpoint whose state says which."""
        self.checkpoints.save(iteration, {"iteration": iteration})

    def advance_and_save(self, num_rows: int, iteration: int) -> None:
        """Does both."""
        self.advance(num_rows)
        self.save(iteration)


def first_rows(buffer: RingBuffer) -> list[float]:
    """Returns what each row in the buffer was made with."""
    values: list[float] = buffer.read(buffer.first, buffer.num_added)[0][:, 0].tolist()
    return values


@pytest.fixture
def logdir(tmp_path: Path) -> Path:
    """Returns a log directory in which a training has begun."""
    experiment = Experiment(tmp_path / "runs")
    experiment.make()
    identity.claim(experiment, identity.Mode.ONE_PROCESS)
    return experiment.root


@pytest.fixture
def make(
    pendulum: tuple[Any, Any, Specs], logdir: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Saved]:
    """Returns a function that makes another agent and replay on the same folder."""
    monkeypatch.setattr(checkpoints, "ROWS_PER_FILE", 10)
    return lambda: Saved(Experiment(logdir), pendulum[0], pendulum[2])


@pytest.mark.parametrize("num_rows", [5, 20, 33, 57])
def test_agent_rows_and_state_come_back(
    make: Callable[[], Saved], num_rows: int
) -> None:
    saved, restored = make(), make()
    assert saved.checkpoints.restore() is None
    saved.advance(num_rows)
    saved.save(3)
    assert restored.checkpoints.restore() == {"iteration": 3}
    assert restored.buffer.num_added == num_rows
    assert first_rows(restored.buffer) == first_rows(saved.buffer)
    pairs = zip(trained_variables(saved.agent), trained_variables(restored.agent))
    for mine, theirs in pairs:
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_old_checkpoints_go_and_rows_are_written_once(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    written: dict[str, int] = {}
    for iteration in range(1, 9):
        saved.advance(10)
        saved.save(iteration)
        for path in (logdir / "replay").iterdir():
            inode = path.stat().st_ino
            assert written.setdefault(path.name, inode) == inode, "written again"
    names = sorted(path.name for path in logdir.glob("ckpt-*.json"))
    assert names == ["ckpt-7.json", "ckpt-8.json"]
    assert not list(logdir.glob("ckpt-6.*"))
    # Five files of ten rows: what the older of the two still needs.
    assert len(list((logdir / "replay").iterdir())) == 5


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    make: Callable[[], Saved], logdir: Path
) -> None:
    for damaged in ("ckpt-2.index", "ckpt-2.data-00000-of-00001", "ckpt-2.json"):
        saved, restored = make(), make()
        saved.advance(12)
        saved.save(1)
        log_alpha = saved.agent._log_alpha.numpy()
        saved.advance(12)
        saved.save(2)
        path = logdir / damaged
        contents = path.read_bytes()[:-20]
        path.write_bytes(contents)
        assert restored.checkpoints.restore() == {"iteration": 1}
        assert restored.buffer.num_added == 12
        assert restored.agent._log_alpha.numpy() == log_alpha
        # What was damaged is not deleted; two such folders are kept.
        folders = sorted(logdir.glob("damaged_ckpt-2_*"))
        assert (folders[-1] / damaged).read_bytes() == contents
        assert len(folders) <= 2
        # It goes on from there, over what the damaged one left.
        restored.advance(5)
        restored.save(2)
        again = make()
        assert again.checkpoints.restore() == {"iteration": 2}
        assert again.buffer.num_added == 17


def test_rows_that_are_damaged_or_missing_count_too(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    saved.advance_and_save(10, 1)
    saved.advance_and_save(7, 2)
    (logdir / "replay" / "rows_000000000010_000000000017_0.npy").unlink()
    assert make().checkpoints.restore() == {"iteration": 1}
    rows = logdir / "replay" / "rows_000000000000_000000000010_0.npy"
    contents = rows.read_bytes()
    rows.write_bytes(b"")
    before = sorted(logdir.rglob("*"))
    with pytest.raises(UserError, match=r"all checkpoints in .* are damaged; put cop"):
        make().checkpoints.restore()
    # Everything is where it was, so that a copy can be put back.
    assert sorted(logdir.rglob("*")) == before
    rows.write_bytes(contents)
    assert make().checkpoints.restore() == {"iteration": 1}


def test_a_file_that_cannot_be_read_is_no_damage(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    for iteration in (1, 2):
        saved.advance(12)
        saved.save(iteration)
    for name in ("ckpt-2.json", "ckpt-2.index"):
        path = logdir / name
        aside = path.rename(logdir / "aside")
        path.symlink_to(path)  # Too many levels of symbolic links.
        before = sorted(logdir.rglob("*"))
        with pytest.raises(UserError, match=f"^cannot read .*{path}: Too many"):
            make().checkpoints.restore()
        assert sorted(logdir.rglob("*")) == before
        path.unlink()
        aside.rename(path)
    assert make().checkpoints.restore() == {"iteration": 2}


def test_checkpoints_that_are_gone_do_not_lead_back_to_the_beginning(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    assert saved.checkpoints.restore() is None
    saved.advance_and_save(3, 1)
    for path in logdir.glob("ckpt-*"):
        path.unlink()
    with pytest.raises(UserError, match=f"checkpoints of {logdir} are gone"):
        make().checkpoints.restore()


def test_another_network_is_refused(
    make: Callable[[], Saved], pendulum: tuple[Any, Any, Specs], logdir: Path
) -> None:
    saved = make()
    saved.advance_and_save(3, 1)
    pendulum[0].actor_fc_layer_params = (7,)
    with pytest.raises(UserError, match="does not fit the agent"):
        make().checkpoints.restore()


def own_files(logdir: Path) -> set[str]:
    """Returns the names of all that belongs to checkpoints."""
    replay = (path.name for path in (logdir / "replay").iterdir())
    return {*replay, *(path.name for path in logdir.glob("*ckpt-*"))}


def test_a_failed_save_leaves_those_before_and_nothing_of_its_own(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    saved.advance_and_save(10, 1)
    before = own_files(logdir)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Too little for rows, and for weights.
    for limit in (100, 2_000):
        saved.advance(10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            with pytest.raises(NotSaved):
                saved.save(2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert own_files(logdir) == before
    restored = make()
    assert restored.checkpoints.restore() == {"iteration": 1}
    assert restored.buffer.num_added == 10
    # The rows that could not be written are written later.
    saved.save(3)
    restored = make()
    assert restored.checkpoints.restore() == {"iteration": 3}
    assert first_rows(restored.buffer) == first_rows(saved.buffer)


def test_what_a_kill_has_left_goes_and_what_is_not_its_own_stays(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    saved.advance_and_save(10, 1)
    before = own_files(logdir)
    (logdir / "ckpt-2_temp").mkdir()
    (logdir / "ckpt-2_temp" / "part-00000-of-00001.index").touch()
    for name in (
        "ckpt-2.index",
        "ckpt-2.data-00000-of-00001.tempstate123",
        ".ckpt-2.json.77",
        "replay/.rows_000000000010_000000000020_0.npy",
        "replay/rows_000000000010_000000000020_0.npy",
    ):
        (logdir / name).touch()
    others = {"ckpt-1.json.bak", "ckpt-mine", "notes"}
    for name in ("ckpt-1.json.bak", "ckpt-mine", "replay/notes"):
        (logdir / name).touch()
    saved.save(2)
    assert {name.replace("ckpt-2", "ckpt-1") for name in own_files(logdir)} == (
        before | others
    )


def test_rows_that_somebody_deletes_are_written_again(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    saved.advance_and_save(20, 1)
    (logdir / "replay" / "rows_000000000000_000000000010_0.npy").unlink()
    saved.advance_and_save(1, 2)
    restored = make()
    assert restored.checkpoints.restore() == {"iteration": 2}
    assert first_rows(restored.buffer) == first_rows(saved.buffer)


def test_a_resumed_training_does_not_write_its_rows_again(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved, restored = make(), make()
    saved.advance_and_save(20, 1)
    inodes = {path.name: path.stat().st_ino for path in (logdir / "replay").iterdir()}
    restored.checkpoints.restore()
    restored.advance(10)
    restored.save(2)
    for name, inode in inodes.items():
        assert (logdir / "replay" / name).stat().st_ino == inode


def test_a_list_that_is_damaged_meanwhile_stops_no_save(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    saved.advance_and_save(10, 1)
    (logdir / "ckpt-1.json").write_text("{")
    for iteration in (2, 3, 4):
        saved.advance(10)
        saved.save(iteration)
    assert {path.stem for path in logdir.glob("ckpt-*.json")} == {"ckpt-3", "ckpt-4"}
    assert make().checkpoints.restore() == {"iteration": 4}
