"""Looks at a training again and again, and collects what must not happen."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from limited_waiting import pause
from saved_rows import SavedRows, find_losses
from trainings import ManyProcesses, Training

from tfagents_system.experiment import generations, services, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.generations import Generation
from tfagents_system.experiment.status_file import Phase

POLL_SECS = 0.5
# A status is written about once a second.
_STATUS_DELAY_SECS = 3.0
# Reading all rows of a checkpoint takes about a second of CPU time.
_ROWS_PERIOD_SECS = 10.0


class Watcher:
    """Checks that nothing falls behind a completed checkpoint.

    Attributes:
      violations: What must not have happened, a line each.
      max_lost_train_steps: Most gradient steps that had to be taken again.
      num_compared: Checkpoints whose rows were compared with those of the one before.
    """

    def __init__(self, training: Training) -> None:
        """Watches the given training."""
        self._training = training
        self._experiment = Experiment(training.root)
        self._checkpoints: dict[Path, tuple[float, Generation]] = {}
        self._saved: SavedRows | None = None
        self._rows_read_at = 0.0
        self._last_train_step = 0
        self.violations: list[str] = []
        self.max_lost_train_steps = 0
        self.num_compared = 0

    def poll(self) -> None:
        """Checks once, and waits a moment."""
        if isinstance(self._training, ManyProcesses):
            self._check_counters()
        if time.monotonic() > self._rows_read_at + _ROWS_PERIOD_SECS:
            self.compare_rows()
        pause(POLL_SECS)

    def note(self, violation: str) -> None:
        """Adds a violation, and prints it."""
        self.violations.append(f"{time.strftime('%T')} {violation}")
        print(self.violations[-1], file=sys.stderr, flush=True)

    def compare_rows(self) -> None:
        """Checks that the newest checkpoint holds all rows of the one before."""
        saved = self._training.read_saved()
        self._rows_read_at = time.monotonic()
        if saved is None or (
            self._saved and saved.checkpoint == self._saved.checkpoint
        ):
            return
        if self._saved is not None:
            self.num_compared += 1
            for loss in find_losses(self._saved, saved):
                self.note(loss)
        self._saved = saved

    def _check_counters(self) -> None:
        """Checks that neither learner nor replay is behind a completed checkpoint."""
        now = time.time()
        for generation in generations.list_generations(self._experiment)[:1]:
            self._checkpoints.setdefault(generation.path, (now, generation))
        completed = self._checkpoints_before_status(services.LEARNER)
        learner = status_file.read_learner(self._experiment)
        if learner.phase is Phase.TRAINING:
            saved = max((checkpoint.train_step for checkpoint in completed), default=0)
            if learner.train_step < saved:
                self.note(f"learner at {learner.train_step}, checkpoint at {saved}")
            lost = self._last_train_step - learner.train_step
            self.max_lost_train_steps = max(self.max_lost_train_steps, lost)
            self._last_train_step = learner.train_step
        completed = self._checkpoints_before_status(services.REPLAY_SERVER)
        server = status_file.read_replay_server(self._experiment)
        if server.phase is Phase.SERVING:
            saved = max((checkpoint.env_steps for checkpoint in completed), default=0)
            if server.env_steps < saved:
                self.note(f"replay at {server.env_steps}, checkpoint at {saved}")

    def _checkpoints_before_status(self, name: str) -> list[Generation]:
        """Returns the checkpoints that were complete when a status was written.

        The status of a dead process holds what was true when it was written.
        """
        try:
            written_at = self._experiment.status(name).stat().st_mtime
        except FileNotFoundError:
            return []
        return [
            generation
            for seen_at, generation in self._checkpoints.values()
            if seen_at < written_at - _STATUS_DELAY_SECS
        ]
