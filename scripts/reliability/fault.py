"""One fault of a live training: what is done, and what every fault must leave alone.

Whatever happens, no process may be left, no service may run twice, and the last
checkpoint must hold what the one before the fault held.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

import limited_waiting
import trainings
from limited_waiting import Violation, wait_for
from moved_clock import MovedClock
from saved_rows import SavedRows, find_losses
from small_disk import SmallDisk
from traces import Traces
from trainings import START_SECS, ManyProcesses, Training

LIMIT_SECS = 1500.0
# How long a stop may take: 30 s, and what a checkpoint takes.
MAX_STOP_SECS = 45.0
# What has been stopped may need a moment to disappear.
_END_SECS = 10.0


class Scene:
    """What a fault has to work with; everything in it is gone at the end.

    Attributes:
      folder: A temporary folder.
      traces: All processes of the trainings here.
      violations: What must not have happened, a line each.
    """

    def __init__(self, folder: Path) -> None:
        """Begins without any training.

        Args:
          folder: An empty temporary folder.
        """
        self.folder = folder
        self.traces = Traces()
        self.violations: list[str] = []
        self._trainings: list[Training] = []
        self._acknowledged: dict[Training, SavedRows] = {}
        self._disks: list[SmallDisk] = []
        self._clocks: list[MovedClock] = []

    def make(
        self,
        kind: type[Training],
        behaviour: str = "",
        root: Path | None = None,
        **train_params: Any,
    ) -> Any:
        """Makes a training and starts nothing.

        Args:
          kind: Its mode.
          behaviour: Of its environment, see `faulty_params`.
          root: Its directory; None: one of its own.
          **train_params: Hyperparameters that differ.
        """
        folder = self.folder / f"training_{len(self._trainings)}"
        config = trainings.make_config(behaviour, **train_params)
        training = kind(folder, config, self.traces, root)
        self._trainings.append(training)
        return training

    def train(self, kind: type[Training], behaviour: str = "", **options: Any) -> Any:
        """Makes a training, starts it and waits for its first checkpoint."""
        training = self.make(kind, behaviour, **options)
        training.start_training()
        self.acknowledge(training)
        return training

    def acknowledge(self, training: Training) -> None:
        """Notes what the newest checkpoint holds, which must not be lost."""
        saved = training.read_saved()
        if saved is not None:
            self._acknowledged[training] = saved

    def forget(self, training: Training) -> None:
        """Lets the checkpoints be lost: the fault itself deletes them."""
        self._acknowledged.pop(training, None)

    def make_disk(self, megabytes: int = 24) -> SmallDisk:
        """Mounts a small disk."""
        disk = SmallDisk(self.folder / f"disk_{len(self._disks)}", megabytes)
        self._disks.append(disk)
        return disk

    def make_clock(self) -> MovedClock:
        """Makes a clock that can be moved."""
        self._clocks.append(MovedClock(self.folder))
        return self._clocks[-1]

    def expect(self, is_so: bool, otherwise: str) -> None:
        """Raises a violation unless something is so."""
        if not is_so:
            raise Violation(otherwise)

    def expect_refusal(self, training: Training, *codes: int) -> str:
        """Starts a training, which must end before it trains.

        Args:
          training: The training.
          *codes: Its exit codes; none: 2.

        Returns:
          What it did, for people.
        """
        is_trained_in = training.is_training()  # By another.
        training.start()

        def is_decided() -> bool:
            trains = not is_trained_in and training.is_training()
            return trains or not training.is_running

        wait_for(is_decided, "refusal", START_SECS)
        self.expect(not training.is_running, "it was not refused, it trains")
        return training.wait_end().expect(*(codes or (2,)))

    def end(self) -> None:
        """Stops what still runs, then looks for orphans and losses."""
        for training in self._trainings:
            if training.is_running:
                with self._noting_violations():
                    training.stop()
                    training.wait_end()
        with contextlib.suppress(Violation):
            wait_for(lambda: not self.traces.processes(), "end", _END_SECS)
        if left := self.traces.describe():
            self.violations.append(f"{len(left)} processes are left: {left[0]} ...")
        self.violations += self.traces.violations
        for training, before in self._acknowledged.items():
            after = training.read_saved()
            if after is None:
                self.violations.append(f"{before.checkpoint.name} is gone")
            else:
                self.violations += find_losses(before, after)

    @contextlib.contextmanager
    def _noting_violations(self) -> Any:
        try:
            yield
        except Violation as violation:
            self.violations.append(str(violation))

    def close(self) -> None:
        """Kills and removes whatever is left."""
        self.traces.close()
        self.traces.kill()
        for training in self._trainings:
            if training.process is not None:
                training.process.wait()
        for disk in self._disks:
            disk.close()
        for clock in self._clocks:
            clock.clean()


@dataclasses.dataclass(frozen=True)
class Fault:
    """A row of the table.

    Attributes:
      name: How the command line calls it.
      event: What happens, for people.
      cause: Makes it happen, checks what only this fault leads to, and returns what
        happened, for people.
    """

    name: str
    event: str
    cause: Callable[[Scene], str]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a fault led to.

    Attributes:
      name: Of the fault.
      event: Of the fault.
      happened: What was seen.
      violations: What must not have happened, a line each.
      secs: How long it took.
    """

    name: str
    event: str
    happened: str
    violations: list[str]
    secs: int


def run(fault: Fault) -> Outcome:
    """Makes a fault happen to trainings of its own, and cleans up."""
    started = time.monotonic()
    limited_waiting.end_of_waiting.set(started + LIMIT_SECS)
    folder = Path(tempfile.mkdtemp(prefix="sac_fault_"))
    scene = Scene(folder)
    happened = ""
    try:
        scene.traces.watch()
        try:
            happened = fault.cause(scene)
        except (Violation, OSError) as error:
            scene.violations.append(str(error))
        if not limited_waiting.interrupted.is_set():
            limited_waiting.end_of_waiting.set(time.monotonic() + LIMIT_SECS)
            scene.end()
    finally:
        scene.close()
        remove(folder)
    secs = round(time.monotonic() - started)
    return Outcome(fault.name, fault.event, happened, scene.violations, secs)


def remove(folder: Path) -> None:
    """Removes a folder, even if nothing in it may be written to."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(path).chmod(0o755)
    shutil.rmtree(folder)


def goes_on(training: Training) -> str:
    """Waits for the next checkpoint of a training that must not have ended.

    Returns:
      What it did, for people.
    """
    if not training.is_running:
        raise Violation(f"it ended: {training.wait_end().last_line}")
    training.wait_for_checkpoint()
    return "it trains on"


def goes_on_or_resumes(training: Training) -> str:
    """As `goes_on`, but a training that has ended with an error may be resumed.

    Returns:
      What it did, for people.
    """
    if training.is_running:
        return goes_on(training)
    ended = training.wait_end()
    if ended.code == 0:
        raise Violation(f"it ended with 0: {ended.last_line}")
    training.start_training()
    return f"it ended ({ended.last_line}); the same command resumes"


def stop_in_time(
    training: Training, by: int | None = None, max_secs: float = MAX_STOP_SECS
) -> str:
    """Stops a training; its end must come soon and with a last checkpoint.

    Args:
      training: The training.
      by: A signal to the launcher; None: as documented.
      max_secs: How long it may take.

    Returns:
      What it did, for people.
    """
    train_step = training.progress()
    started = time.monotonic()
    if by is None:
        training.stop()
    else:
        training.interrupt(by)
    training.wait_end()
    secs = time.monotonic() - started
    if isinstance(training, ManyProcesses):
        wait_for(lambda: not training.traces.processes(), "end of all", 30)
    saved = training.read_saved()
    saved_train_step = 0 if saved is None else saved.train_step
    what = f"stopped after {secs:.0f} s at train step {saved_train_step}"
    if secs > max_secs:
        raise Violation(f"{what}, more than {max_secs:.0f} s")
    if saved_train_step < train_step:
        raise Violation(f"{what}; it had reached {train_step}")
    return what


def send(signum: signal.Signals, *pids: int) -> None:
    """Sends a signal to processes that still exist."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
