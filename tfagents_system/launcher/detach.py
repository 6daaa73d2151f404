"""Starts the launcher in the background."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from types import FrameType

from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import (
    LAUNCHER,
    Phase,
    Status,
    read_status,
)
from tfagents_system.launcher.console import say
from tfagents_system.launcher.stop import stop_launcher

POLL_SECS = 0.2


def detach(experiment: Experiment, *options: str) -> int:
    """Starts this launcher again in the background; returns once it trains.

    Ctrl-C until then, or another signal that ends a command, stops that launcher.

    Args:
      experiment: The directory of the run.
      *options: The launcher's.

    Returns:
      0, or the launcher's exit code if it ended before; 128 + signal after a signal.
    """
    received: list[int] = []

    def on_signal(signum: int, frame: FrameType | None) -> None:
        received.append(signum)

    # Before there is a launcher: none may be left without having been told.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_signal)
    log = experiment.root / "launcher.log"
    with log.open("ab") as output:
        offset = output.tell()
        launcher = subprocess.Popen(
            [sys.executable, "-u", "-m", "tfagents_system.launcher.launch", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    while (
        launcher.poll() is None
        and not received
        and not _trains(experiment, launcher.pid)
    ):
        time.sleep(POLL_SECS)
    if received:
        stop_launcher(experiment, launcher.pid)
        launcher.wait()
    say(log.read_bytes()[offset:].decode(errors="replace"), end="")
    if received:
        return 128 + received[0]
    if launcher.returncode is not None:
        return launcher.returncode
    say(f"In the background as pid {launcher.pid}; its log: {log}")
    say(f"Status: scripts/status.sh {shlex.quote(str(experiment.root))}")
    return 0


def _trains(experiment: Experiment, pid: int) -> bool:
    """Returns whether the launcher of that pid says that it trains."""
    status = read_status(experiment, LAUNCHER, Status)
    return status.pid == pid and status.phase is Phase.TRAINING
