"""Checkpoints of the one-process mode."""

from __future__ import annotations

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
        path.write_bytes(path.read_bytes()[:-20])
        assert restored.checkpoints.restore() == {"iteration": 1}
        assert restored.buffer.num_added == 12
        assert restored.agent._log_alpha.numpy() == log_alpha
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
    saved.advance(10)
    saved.save(1)
    saved.advance(7)
    saved.save(2)
    (logdir / "replay" / "rows_000000000010_000000000017_0.npy").unlink()
    assert make().checkpoints.restore() == {"iteration": 1}
    next((logdir / "replay").glob("rows_000000000000_*")).write_bytes(b"")
    with pytest.raises(UserError, match=r"all checkpoints in .* are damaged"):
        make().checkpoints.restore()


def test_another_network_is_refused(
    make: Callable[[], Saved], pendulum: tuple[Any, Any, Specs], logdir: Path
) -> None:
    saved = make()
    saved.advance(3)
    saved.save(1)
    pendulum[0].actor_fc_layer_params = (7,)
    with pytest.raises(UserError, match="does not fit the agent"):
        make().checkpoints.restore()


def test_a_failed_save_leaves_those_before(
    make: Callable[[], Saved], logdir: Path
) -> None:
    saved = make()
    saved.advance(10)
    saved.save(1)
    saved.advance(10)
    # Where a file should be there is a folder.
    (logdir / "replay" / ".rows_000000000010_000000000020_0.npy").mkdir()
    with pytest.raises(NotSaved):
        saved.save(2)
    restored = make()
    assert restored.checkpoints.restore() == {"iteration": 1}
    assert restored.buffer.num_added == 10
