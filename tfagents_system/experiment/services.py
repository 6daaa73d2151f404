"""The services of a training: their names, and how often each has started and failed.

daemontools starts each service in a folder of its own. Its `run` script adds a line to
`starts` there, and a service that ends with an error adds one to `failures`, so that
the launcher can tell a process that fails from one that was killed.
"""

from __future__ import annotations

import time
from pathlib import Path

from tfagents_system.experiment.directory import Experiment

REPLAY_SERVER = "replay_server"
LEARNER = "learner"
COLLECT_WORKER = "collect_worker"


def worker_name(worker: int) -> str:
    """Returns the name of a collect worker's service by the worker's number."""
    return f"{COLLECT_WORKER}_{worker}"


def is_worker(name: str) -> bool:
    """Returns whether a service is a collect worker."""
    return name.startswith(COLLECT_WORKER)


def count_starts(experiment: Experiment, name: str) -> int:
    """Returns how often a service has ever been started."""
    return _count_lines(experiment.service(name) / "starts")


def count_failures(experiment: Experiment, name: str) -> int:
    """Returns how often a service has ever ended with an error of its own."""
    return _count_lines(experiment.service(name) / "failures")


def record_failure(folder: Path) -> None:
    """Adds a line to `failures`.

    Args:
      folder: The folder of the service.
    """
    with (folder / "failures").open("a") as failures:
        failures.write(f"{round(time.time())}\n")


def last_log_lines(experiment: Experiment, name: str, count: int) -> list[str]:
    """Returns the last lines of a service's log."""
    log = experiment.service_log(name)
    if not log.exists():
        return []
    text = log.read_text(encoding="utf-8", errors="replace")
    return text.splitlines()[-count:]


def _count_lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.exists() else 0
