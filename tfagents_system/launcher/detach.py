"""Starts the launcher in the background."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time

from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import (
    LAUNCHER,
    Phase,
    Status,
    read_status,
)

POLL_SECS = 0.2


def detach(experiment: Experiment) -> int:
    """Starts this launcher again in the background; returns once it trains.

    Returns:
      0, or the launcher's exit code if it ended before.
    """
    experiment.root.mkdir(parents=True, exist_ok=True)
    log = experiment.root / "launcher.log"
    with log.open("ab") as output:
        offset = output.tell()
        launcher = subprocess.Popen(
            [sys.executable, "-m", "tfagents_system.launcher.launch"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    while launcher.poll() is None and not _trains(experiment, launcher.pid):
        time.sleep(POLL_SECS)
    print(log.read_bytes()[offset:].decode(errors="replace"), end="")
    if launcher.returncode is not None:
        return launcher.returncode
    print(f"In the background as pid {launcher.pid}; its log: {log}")
    print(f"Status: scripts/status.sh {shlex.quote(str(experiment.root))}")
    return 0


def _trains(experiment: Experiment, pid: int) -> bool:
    """Returns whether the launcher of that pid says that it trains."""
    status = read_status(experiment, LAUNCHER, Status)
    return status.pid == pid and status.phase is Phase.TRAINING
