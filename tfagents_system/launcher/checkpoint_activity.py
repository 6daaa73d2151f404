"""Whether the last checkpoint gets on, while a stop waits for it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tfagents_system.experiment import services, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.process_tree import is_at_disk
from tfagents_system.launcher import daemontools

# A learner that says that it writes a checkpoint, and shows no sign of it for so long,
# hangs.
QUIET_SECS = 10.0


class CheckpointActivity:
    """Looks for signs that learner and replay server write a checkpoint.

    Their files change, the learner reads or writes (checksums are read), or one of the
    two waits for the disk, as it does while it forces large files to it.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Begins to look.

        Args:
          experiment: The experiment.
        """
        self._experiment = experiment
        self._signs = self._read()
        self._changed_at = time.monotonic()

    def goes_on(self) -> bool:
        """Returns whether there was a sign within the last seconds."""
        signs = self._read()
        names = (services.LEARNER, services.REPLAY_SERVER)
        pids = (daemontools.pid_of(self._experiment, name) for name in names)
        if signs != self._signs or any(is_at_disk(pid) for pid in pids if pid):
            self._signs = signs
            self._changed_at = time.monotonic()
        return time.monotonic() - self._changed_at < QUIET_SECS

    def _read(self) -> tuple[object, ...]:
        """Returns what changes while a checkpoint is written."""
        learner = status_file.read_learner(self._experiment).pid
        io = ""
        with contextlib.suppress(OSError):
            io = Path(f"/proc/{learner}/io").read_text()
        folders = (self._experiment.checkpoints, self._experiment.replay)
        return (io, *map(_measure, folders))


def _measure(folder: Path) -> frozenset[tuple[Path, int]]:
    """Returns every file below a folder with its size."""
    files = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # It has just been renamed.
            files.add((path, path.lstat().st_size))
    return frozenset(files)
