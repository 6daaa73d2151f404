"""The services of a training: their names, and how often each has started and failed.

daemontools starts each service in a folder of its own. Its `run` script counts its
starts there in `num_starts`, and a service that ends with an error counts that in
`num_failures`, so that the launcher can tell a process that fails from one that was
killed. Both are one number of fixed width, which is overwritten in place: that works on
a full disk, too.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.files import write_bytes

REPLAY_SERVER = "replay_server"
LEARNER = "learner"
COLLECT_WORKER = "collect_worker"
# Not a service: the step that checks what they will be started with.
PREPARE = "prepare"

_STARTS = "num_starts"
_FAILURES = "num_failures"
# The files of earlier versions: one line for each.
_LINES = {_STARTS: "starts", _FAILURES: "failures"}

logger = logging.getLogger(__name__)


def worker_name(worker: int) -> str:
    """Returns the name of a collect worker's service by the worker's number."""
    return f"{COLLECT_WORKER}_{worker}"


def is_worker(name: str) -> bool:
    """Returns whether a service is a collect worker."""
    return name.startswith(COLLECT_WORKER)


def count_starts(experiment: Experiment, name: str) -> int:
    """Returns how often a service has ever been started."""
    return _count(experiment.service(name), _STARTS)


def count_failures(experiment: Experiment, name: str) -> int:
    """Returns how often a service has ever ended with an error of its own."""
    return _count(experiment.service(name), _FAILURES)


def make_counts(folder: Path) -> None:
    """Makes the counts of a service where they are missing or damaged.

    Args:
      folder: The folder of the service; one of an earlier version goes on counting.
    """
    for name, lines in _LINES.items():
        if _read(folder / name) is None:
            write_bytes(folder / name, _format(_count(folder, name)), durable=True)
        (folder / lines).unlink(missing_ok=True)


def record_failure(folder: Path) -> None:
    """Counts one more failure.

    Args:
      folder: The folder of the service.
    """
    contents = _format(_count(folder, _FAILURES) + 1)
    try:
        descriptor = os.open(folder / _FAILURES, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, contents, 0)
        finally:
            os.close(descriptor)
    except OSError as error:  # Its restarts are counted still.
        logger.warning("this failure is not counted: %s", error)


def last_log_lines(experiment: Experiment, name: str, count: int) -> list[str]:
    """Returns the last lines of a service's log."""
    log = experiment.service_log(name)
    if not log.exists():
        return []
    text = log.read_text(encoding="utf-8", errors="replace")
    return text.splitlines()[-count:]


def _count(folder: Path, name: str) -> int:
    count = _read(folder / name)
    if count is None:
        count = _count_lines(folder / _LINES[name])
    return count


def _read(path: Path) -> int | None:
    """Returns the count in a file; None if there is none."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_bytes())
    return None


def _count_lines(path: Path) -> int:
    """Counts as earlier versions did, in lines."""
    try:
        return len(path.read_bytes().splitlines())
    except OSError:
        return 0


def _format(count: int) -> bytes:
    return f"{count:10d}\n".encode()
