"""Runs the prepare step: a process of its own, which runs the user's code."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.status_file import PREPARE, Phase, Status, read_status
from tfagents_system.launcher.console import say
from tfagents_system.launcher.task_settings import read_task

LOG_PERIOD_SECS = 30.0


def prepare(
    experiment: Experiment,
    params: Path,
    config: Path,
    environment: Mapping[str, str],
    run: RunProcesses,
) -> None:
    """Runs the prepare step to its end; ends whatever the user's code leaves.

    Args:
      experiment: The experiment.
      params: The user's params file.
      config: The user's JSON.
      environment: The environment of all processes.
      run: The processes of this run; there are no others yet.

    Raises:
      UserError: It failed, and has said why; or the user's code ended it.
    """
    command = [sys.executable, "-m", "tfagents_system.processes", PREPARE]
    command += [f"--exp_dir={experiment.root}"]
    command += [f"--params={params}", f"--config={config}"]
    train_params = read_task(environment).train_params
    command += [f"--train_params={json.dumps(train_params)}"]
    with (experiment.root / "prepare.log").open("wb") as chatter:
        process = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=chatter
        )
        try:
            _wait(process)
        finally:
            process.kill()
            run.kill()
    if process.returncode != 0:
        raise UserError("nothing was started")
    status = read_status(experiment, PREPARE, Status)
    if (status.pid, status.phase) != (process.pid, Phase.FINISHED):
        raise UserError(
            "the params file or the environment ended the process that checks them, "
            "with sys.exit() for example; nothing was started"
        )


def _wait(process: subprocess.Popen[bytes]) -> None:
    started = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOG_PERIOD_SECS)
            return
        say(
            "Still checking the params file and its environment (reset, step), "
            f"{time.monotonic() - started:.0f} s now; Ctrl-C ends it."
        )
