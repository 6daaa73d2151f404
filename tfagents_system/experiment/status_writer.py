"""Writes the status file of a process."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Generic

import msgspec

from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import (
    FORMAT,
    Awaited,
    Phase,
    S,
    Status,
    read_service,
    read_status,
)
from tfagents_system.host.files import write_bytes

WRITE_PERIOD_SECS = 1.0

logger = logging.getLogger(__name__)


class StatusWriter(Generic[S]):
    """The status file of this process; may be edited by several threads.

    Attributes:
      value: What the process last said of itself.
    """

    def __init__(self, experiment: Experiment, name: str, kind: type[S]) -> None:
        """Begins with what a former process of this service remembered.

        Args:
          experiment: The experiment.
          name: Name of the service.
          kind: Class of its status.
        """
        self._path = experiment.status(name)
        with contextlib.suppress(OSError):  # A full disk: `_write` says so.
            experiment.make_folder(self._path.parent)
        self._lock = threading.RLock()
        self._written_at = 0.0
        self.value: S = read_status(experiment, name, kind)
        self.value.format = FORMAT
        self.value.pid = os.getpid()
        self.value.phase = Phase.UNKNOWN  # A former process may have died in STARTING.
        self.enter(Phase.STARTING)

    @contextlib.contextmanager
    def edit(self, write_now: bool = False) -> Iterator[S]:
        """Lets the caller change the status; then writes it.

        A counter that has grown dates the progress.

        Args:
          write_now: Write the file at once, otherwise at most once a second.

        Yields:
          The status.
        """
        with self._lock:
            before = self.value.counters
            yield self.value
            if any(new > old for new, old in zip(self.value.counters, before)):
                self.value.progress_at = time.time()
            if write_now or time.monotonic() - self._written_at >= WRITE_PERIOD_SECS:
                self._write()

    def enter(
        self, phase: Phase, waiting_for: Awaited | None = None, failure: str = ""
    ) -> None:
        """Changes the phase, logs it, and writes the file; nothing if it is the same.

        Args:
          phase: What the process is doing from now on.
          waiting_for: What it waits for, when it waits.
          failure: Why it failed, when it has.
        """
        with self._lock:
            status = self.value
            if (status.phase, status.waiting_for) == (phase, waiting_for):
                return
            with self.edit(write_now=True):
                status.phase, status.waiting_for = phase, waiting_for
                status.phase_since = time.time()
                status.failure = failure
            logger.info("%s", status.describe())

    def _write(self) -> None:
        self._written_at = time.monotonic()
        try:
            _write(self._path, self.value)
        except OSError as error:  # A full disk must not end the training.
            logger.warning("status not written: %s", error)


def forget(experiment: Experiment, name: str) -> None:
    """Marks a service as not started, so that nobody believes an earlier run's phase.

    What the service remembers over its restarts stays.
    """
    if not experiment.status(name).exists():
        return
    status = read_service(experiment, name)
    now = time.time()
    status.format = FORMAT
    status.phase, status.waiting_for, status.failure = Phase.NOT_STARTED, None, ""
    status.phase_since = status.progress_at = now
    status.pid = None
    _write(experiment.status(name), status)


def _write(path: Path, status: Status) -> None:
    write_bytes(path, msgspec.json.format(msgspec.json.encode(status)) + b"\n")
