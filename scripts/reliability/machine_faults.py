"""Faults of the machine: a full disk, a clock that is set."""

from __future__ import annotations

import functools

from fault import Fault, Scene, goes_on, stop_in_time
from limited_waiting import pause
from trainings import ManyProcesses, OneProcess, Training

from tfagents_system.experiment.directory import REPOSITORY

_FULL_SECS = 120.0
_HOUR_SECS = 3600
# With time for many of them.
_CHECKPOINT_SECS = 400.0


def _full_disk(scene: Scene, kind: type[Training]) -> str:
    """Fills the disk for two minutes; training goes on, then saves again."""
    disk = scene.make_disk()
    training = scene.train(kind, root=disk.folder / "experiment")
    training.wait_for_checkpoint()
    scene.acknowledge(training)
    used_before = disk.used_bytes()
    disk.fill()
    pause(_FULL_SECS)
    scene.expect(
        training.is_running,
        f"it ended: {'' if training.is_running else training.wait_end().last_line}",
    )
    if kind is ManyProcesses:
        command = [str(REPOSITORY / "scripts/status.sh"), str(training.root)]
        status = training.call(command).output.lower()
        scene.expect("disk" in status or "space" in status, "status: no word of it")
    disk.free()
    goes_on(training)
    for _ in range(3):
        training.wait_for_checkpoint()
    used = disk.used_bytes()
    scene.expect(
        used < 1.5 * used_before + 2e6,
        f"it uses {used / 1e6:.1f} MB, before {used_before / 1e6:.1f} MB",
    )
    return (
        f"it trains on; {used / 1e6:.1f} MB used afterwards; {stop_in_time(training)}"
    )


def _full_at_first(scene: Scene, kind: type[Training]) -> str:
    """The disk is full at the first start: refused, and free again it trains."""
    disk = scene.make_disk()
    disk.fill()
    training = scene.make(kind, root=disk.folder / "experiment")
    refusal = scene.expect_refusal(training, 1, 2)
    disk.free()
    training.start_training()
    return f"{refusal}; freed, it trains"


def _clock_moved(scene: Scene, kind: type[Training], before: int, after: int) -> str:
    """Moves the clock while it trains, from one difference to another, in seconds."""
    training = scene.make(kind)
    clock = scene.make_clock()
    clock.move(before)
    training.environment = clock.environment
    training.start_training()
    scene.acknowledge(training)
    clock.move(after)
    for _ in range(3):  # The first may have been under way.
        training.wait_for_checkpoint(_CHECKPOINT_SECS)
    stopped = stop_in_time(training)
    training.start_training()
    return f"checkpoints go on; {stopped}; it resumes"


FAULTS = [
    fault
    for mode, kind in (("many", ManyProcesses), ("one", OneProcess))
    for fault in (
        Fault(
            f"full_disk_{mode}",
            f"24 MB disk full for two minutes ({mode})",
            functools.partial(_full_disk, kind=kind),
        ),
        Fault(
            f"full_at_first_{mode}",
            f"disk full at the first start ({mode})",
            functools.partial(_full_at_first, kind=kind),
        ),
        Fault(
            f"clock_back_{mode}",
            f"clock back by an hour ({mode})",
            functools.partial(_clock_moved, kind=kind, before=0, after=-_HOUR_SECS),
        ),
        Fault(
            f"clock_forward_{mode}",
            f"clock forward by an hour ({mode})",
            functools.partial(_clock_moved, kind=kind, before=-_HOUR_SECS, after=0),
        ),
    )
]
