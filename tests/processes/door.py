"""Starts processes through their door, as daemontools does."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.experiments import make_experiment
from tfagents_system.algorithm.specs import Specs
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run

DOOR = [sys.executable, "-m", "tfagents_system.processes"]
WRITTEN_BEFORE = REPOSITORY / "tests" / "experiment" / "written_before"


def begin_run(
    folder: Path, files: tuple[Path, Path], specs: Specs, port: int
) -> Experiment:
    """Makes what the launcher has made before it starts the processes.

    Args:
      folder: For the experiment directory.
      files: The user's params file and JSON.
      specs: Specs of the environment.
      port: For the replay server.
    """
    experiment = make_experiment(folder)
    shutil.copy(files[0], experiment.params)
    shutil.copy(files[1], experiment.config)
    specs.save(experiment.specs)
    Run(port, str(folder), services=()).save(experiment)
    return experiment


def unpack_written_before(experiment: Experiment) -> None:
    """Unpacks what an earlier version wrote: Pendulum, stopped at train step 507."""
    with tarfile.open(WRITTEN_BEFORE / "many_processes.tar.xz") as archive:
        archive.extractall(experiment.root)


def environment() -> dict[str, str]:
    """Returns the environment of a process that is started in another folder."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a process from a folder to its end."""
    return subprocess.run(
        [*DOOR, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def started(
    folder: Path, name: str, *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    """Starts a process in a folder of its own; kills it in the end.

    Args:
      folder: The folder; it is made.
      name: Of the process.
      *arguments: Its arguments.
    """
    folder.mkdir()
    process = subprocess.Popen(
        [*DOOR, name, *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
