"""Fixtures of the launcher's tests: what services leave behind, and real ones."""

from __future__ import annotations

import functools
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.waiting import wait_for
from tfagents_system.experiment import run_lock, services, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import Phase
from tfagents_system.host.files import write_json
from tfagents_system.launcher import daemontools, stop
from tfagents_system.launcher.run_locks import RunLocks, exclusive_run
from tfagents_system.launcher.topology import TEMPLATES

NAMES = ["replay_server", "learner", "collect_worker_0", "collect_worker_1"]
# Runs until it is stopped, and is down at once.
SLEEP = "exec sleep 100"
# What every run script does first.
COUNT = f". {TEMPLATES}/begin.sh"

StartServices = Callable[..., None]


def write_status(
    experiment: Experiment, name: str, phase: Phase = Phase.TRAINING, **fields: Any
) -> None:
    """Writes what a service says of itself."""
    status = {"format": status_file.FORMAT, "phase": phase.value, **fields}
    write_json(
        experiment.make_folder(experiment.status("").parent) / f"{name}.json", status
    )


def start(experiment: Experiment, name: str) -> None:
    """Counts one more start of a service, as its run script does."""
    folder = experiment.service(name)
    (folder / "log" / "main").mkdir(parents=True, exist_ok=True)
    count = services.count_starts(experiment, name) + 1
    (folder / "num_starts").write_text(f"{count}\n")
    experiment.service_log(name).write_text(f"the last words of {name}\n")


def fail(experiment: Experiment, name: str) -> None:
    """Lets a service end with an error and be restarted."""
    services.record_failure(experiment.service(name))
    start(experiment, name)


def write_script(path: Path, body: str) -> None:
    """Writes a shell script that can be executed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def make_environment(run_id: str = "") -> dict[str, str]:
    """Returns the environment of a run: daemontools is on its PATH."""
    path = daemontools.daemontools_path(os.environ)
    return {**os.environ, "PATH": path, "SAC_RUN_ID": run_id or uuid.uuid4().hex}


@pytest.fixture
def locks(experiment: Experiment) -> Iterator[RunLocks]:
    """Yields the locks of a launcher; stops what its run leaves."""
    with exclusive_run(experiment) as locks:
        yield locks
        stop.stop(experiment)
    assert not run_lock.is_running(experiment)


@pytest.fixture
def lock(locks: RunLocks) -> int:
    """Returns the locked descriptor of a run."""
    return locks.lock


@pytest.fixture
def start_services(experiment: Experiment, lock: int) -> StartServices:
    """Returns a function that runs services under svscan until all of them are up.

    It takes the body of each service's run script by the service's name.
    """

    def start_all(**bodies: str) -> None:
        for name, body in bodies.items():
            write_script(experiment.service(name) / "run", body)
        daemontools.start(experiment, make_environment(), lock)
        for folder in daemontools.service_folders(experiment):
            wait_for(functools.partial(daemontools.pid_of, experiment, folder.name))

    return start_all
