"""scripts/reliability: losses, orphans and second processes are found."""

from __future__ import annotations

import collections
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import reverb

from tests.conftest import REPOSITORY
from tests.waiting import wait_for

sys.path.append(str(REPOSITORY / "scripts" / "reliability"))
import disturbances
import fault
import faults
import saved_rows
from fault import Fault, Scene
from limited_waiting import Violation
from saved_rows import SavedRows
from traces import Traces

SLEEP = "import time; time.sleep(100)"
BEFORE = SavedRows(Path("before"), 100, (b"a", b"b", b"c"), 3, capacity=4)


@pytest.fixture
def traces() -> Iterator[Traces]:
    found = Traces()
    yield found
    found.close()
    found.kill()


def start(traces: Traces, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a process that sleeps, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SLEEP, *arguments],
        env=traces.environment,
        start_new_session=True,
    )


def test_rows_that_newer_ones_push_out_are_not_lost() -> None:
    after = SavedRows(Path("after"), 200, (b"b", b"c", b"d", b"e"), 5, capacity=4)
    assert saved_rows.find_losses(BEFORE, after) == []


@pytest.mark.parametrize(
    ("changes", "loss"),
    [
        ({"digests": (b"a", b"x", b"c", b"d")}, "1 of 3 are gone"),
        ({"digests": (b"b", b"c", b"d")}, "1 of 3 are gone"),
        ({"train_step": 50}, "back from 100 to 50"),
        ({"num_inserts": 2}, "1 inserts are not counted"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_found(
    changes: dict[str, Any], loss: str
) -> None:
    after = SavedRows(Path("after"), 200, (b"a", b"b", b"c", b"d"), 4, capacity=4)
    (found,) = saved_rows.find_losses(BEFORE, dataclasses.replace(after, **changes))
    assert loss in found


def read_after(folder: Path, *new_rows: float) -> tuple[bytes, ...]:
    """Serves what the newest checkpoint has, adds rows, and reads the next one."""
    server = reverb.Server(
        [reverb.Table.queue("rows", 10)],
        checkpointer=reverb.platform.checkpointers_lib.DefaultCheckpointer(str(folder)),
    )
    client = reverb.Client(f"localhost:{server.port}")
    with client.trajectory_writer(1) as writer:
        for row in new_rows:
            writer.append({"row": np.full(3, row, np.float32)})
            writer.create_item("rows", 1.0, {"row": writer.history["row"][-1:]})
        writer.flush()
    saved = Path(client.checkpoint())
    server.stop()
    return saved_rows.read_item_digests(saved, "rows")


def test_a_row_has_the_same_digest_after_it_was_restored(tmp_path: Path) -> None:
    before = read_after(tmp_path, 1.0, 2.0)
    after = read_after(tmp_path, 3.0)
    assert len(set(before)) == 2
    assert len(set(after)) == 3
    assert set(before) < set(after)


def test_a_process_that_left_its_session_is_found(traces: Traces) -> None:
    process = start(traces)
    wait_for(lambda: [found.pid for found in traces.processes()] == [process.pid])
    assert not Traces().processes()
    traces.kill()
    assert process.wait(10) == -9


def test_a_second_process_of_a_service_is_a_violation(traces: Traces) -> None:
    learner = ["tfagents_system.processes", "learner"]
    processes = [start(traces, *learner)]
    traces.watch()
    processes.append(start(traces, *learner))
    wait_for(lambda: traces.violations == ["two processes of learner"])
    traces.kill()
    for process in processes:
        process.wait(10)


def test_a_process_that_a_fault_leaves_is_a_violation_and_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fault, "_END_SECS", 0.5)
    processes, folders = [], []

    def leave_a_process(scene: Scene) -> str:
        processes.append(start(scene.traces))
        wait_for(lambda: bool(scene.traces.processes()))
        folders.append(scene.folder)
        return "it was left"

    outcome = fault.run(Fault("orphan", "a process is left", leave_a_process))
    assert outcome.happened == "it was left"
    assert len(outcome.violations) == 1
    assert outcome.violations[0].startswith(
        f"1 processes are left: {processes[0].pid} "
    )
    assert processes[0].wait(10) == -9
    assert not folders[0].exists()
    assert not psutil.pid_exists(processes[0].pid)


def test_what_a_fault_must_not_lead_to_is_its_violation() -> None:
    def go_wrong(scene: Scene) -> str:
        raise Violation("it trains on")

    outcome = fault.run(Fault("wrong", "something", go_wrong))
    assert outcome.violations == ["it trains on"]
    assert "FAILED wrong: something" in faults.format_row(outcome)


def test_each_fault_has_a_name_of_its_own() -> None:
    counts = collections.Counter(one.name for one in faults.FAULTS)
    assert max(counts.values()) == 1
    assert [one.name for one in faults.choose(["detach"])] == ["detach"]
    with pytest.raises(SystemExit, match="no fault nonsense"):
        faults.choose(["nonsense"])


def test_a_plan_holds_every_disturbance_by_its_share() -> None:
    plans = [disturbances.make_plan(300, seed) for seed in (0, 0, 1)]
    assert collections.Counter(plans[0]) == {
        kind: round(300 * share) for kind, share in disturbances.SHARES.items()
    }
    assert plans[0] == plans[1] != plans[2]
