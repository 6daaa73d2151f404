"""What chaos.py does to a training: kills, stops, deletions, a full disk, the clock."""

from __future__ import annotations

import contextlib
import random
from typing import Callable

import psutil
from limited_waiting import pause
from moved_clock import MovedClock
from small_disk import SmallDisk
from trainings import ManyProcesses, Training

#: How often each kind happens.
SHARES = {
    "kill": 0.48,
    "kill everything": 0.02,
    "stop and continue": 0.2,
    "delete a file": 0.13,
    "full disk": 0.07,
    "move the clock": 0.1,
}
# A training goes on without any one of these, and without being told. What it is
# begun with (params.py, config.json, run.json and the like) is needed, and checkpoints
# are what must not be lost.
_DELETABLE = (
    "status/*.json",
    "launcher.pid",
    "run.lock",
    "*.log",
    "services/*/num_starts",
    "services/*/num_failures",
    "services/*/log/main/current",
    "train/checkpoints/.lock",
    "train/*/events.*",
    "eval/*/events.*",
    "policies/**/*",
)
_MAX_PAUSE_SECS = 8.0
_MAX_FULL_SECS = 10.0
_CLOCK_SECS = (-86_400, -3_600, -60)
# The kernel does not know of it, so the timers of C++ do not wait any more, and what
# they are for does not get on.
_MAX_MOVED_SECS = 10.0


def make_plan(count: int, seed: int) -> list[str]:
    """Returns the kinds of so many disturbances, in the order of their turn."""
    deck = [kind for kind in SHARES for _ in range(round(SHARES[kind] * count))]
    deck = (deck + ["kill"] * count)[:count]
    random.Random(seed).shuffle(deck)
    return deck


class Disturbances:
    """Disturbs one training."""

    def __init__(
        self, training: Training, disk: SmallDisk, clock: MovedClock, seed: int
    ) -> None:
        """Disturbs nothing yet.

        Args:
          training: The training; it runs on `disk` and with `clock`.
          disk: The file system of its directory.
          clock: The clock of its processes.
          seed: Of what is chosen.
        """
        self._training = training
        self._disk = disk
        self._clock = clock
        self._rng = random.Random(seed)
        self._causes: dict[str, Callable[[], str]] = {
            "kill": self._kill,
            "kill everything": self._kill_everything,
            "stop and continue": self._stop_and_continue,
            "delete a file": self._delete_a_file,
            "full disk": self._fill_the_disk,
            "move the clock": self._move_the_clock,
        }

    def delay_secs(self, mean_secs: float) -> float:
        """Returns how long to wait until the next one."""
        return self._rng.uniform(0, 2 * mean_secs)

    def cause(self, kind: str) -> str:
        """Causes one of a kind; returns what was done, for people."""
        return self._causes[kind]()

    def _targets(self) -> dict[str, psutil.Process]:
        """Returns the processes of services and their `supervise`, or sac-train."""
        if not isinstance(self._training, ManyProcesses):
            assert self._training.process is not None
            return {"sac-train": psutil.Process(self._training.process.pid)}
        targets = {}
        for name, processes in self._training.traces.services().items():
            with contextlib.suppress(psutil.Error):
                targets[name] = processes[0]
                parent = processes[0].parent()
                if parent is not None and parent.name() == "supervise":
                    targets[f"supervise of {name}"] = parent
        return targets

    def _kill(self) -> str:
        targets = self._targets()
        if not targets:
            return "nothing to kill"
        name = self._rng.choice(sorted(targets))
        with contextlib.suppress(psutil.Error):
            targets[name].kill()
        if not isinstance(self._training, ManyProcesses):
            self._training.wait_end()
            self._training.start()
        return f"kill of {name}"

    def _kill_everything(self) -> str:
        """Kills all processes at once, as a power cut does, and starts again."""
        self._training.traces.kill()
        self._training.wait_end()
        self._training.start()
        return "kill of everything"

    def _stop_and_continue(self) -> str:
        targets = self._targets()
        for program in ("svscan", "multilog"):
            for process in self._training.traces.find(program):
                targets[program] = process
        if not targets:
            return "nothing to stop"
        name = self._rng.choice(sorted(targets))
        secs = self._rng.uniform(1, _MAX_PAUSE_SECS)
        with contextlib.suppress(psutil.Error):
            targets[name].suspend()
            try:
                pause(secs)
            finally:
                targets[name].resume()
        return f"stop of {name} for {secs:.0f} s"

    def _delete_a_file(self) -> str:
        root = self._training.root
        # First the kind, for there are many more files of some.
        patterns = list(_DELETABLE)
        self._rng.shuffle(patterns)
        for pattern in patterns:
            files = sorted(path for path in root.glob(pattern) if path.is_file())
            if files:
                path = self._rng.choice(files)
                path.unlink(missing_ok=True)
                return f"deletion of {path.relative_to(root)}"
        return "nothing to delete"

    def _fill_the_disk(self) -> str:
        secs = self._rng.uniform(1, _MAX_FULL_SECS)
        self._disk.fill()
        try:
            pause(secs)
        finally:
            self._disk.free()
        return f"full disk for {secs:.0f} s"

    def _move_the_clock(self) -> str:
        difference = self._rng.choice(_CLOCK_SECS)
        secs = self._rng.uniform(1, _MAX_MOVED_SECS)
        self._clock.move(difference)
        try:
            pause(secs)
        finally:
            self._clock.move(0)
        return f"clock at {difference:+d} s for {secs:.0f} s"
