"""Runs the prepare step: a process of its own, which runs the user's code."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.services import PREPARE
from tfagents_system.launcher.console import say
from tfagents_system.launcher.task_settings import read_task

LOG_PERIOD_SECS = 30.0


def prepare(
    experiment: Experiment,
    params: Path,
    config: Path,
    environment: Mapping[str, str],
    run: RunProcesses,
) -> int:
    """Runs the prepare step to its end; ends whatever the user's code leaves.

    Args:
      experiment: The experiment.
      params: The user's params file.
      config: The user's JSON.
      environment: The environment of all processes.
      run: The processes of this run; there are no others yet.

    Returns:
      The memory of the full replay, bytes; 0 where training is complete.

    Raises:
      UserError: It failed, and has said why; or the user's code ended it.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as result:
        try:
            process = _start(experiment, params, config, environment, writer)
        finally:
            os.close(writer)
        try:
            _wait(process)
        finally:
            process.kill()
            run.kill()
        # What the user's code has started may still have the other end.
        os.set_blocking(reader, False)
        replay_bytes = result.read()
    if process.returncode != 0:
        raise UserError("nothing was started")
    if not replay_bytes:
        raise UserError(
            "the params file or the environment ended the process that checks them, "
            "with sys.exit() for example; nothing was started"
        )
    return int(replay_bytes)


def _start(
    experiment: Experiment,
    params: Path,
    config: Path,
    environment: Mapping[str, str],
    result_fd: int,
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tfagents_system.processes", PREPARE]
    command += [f"--exp_dir={experiment.root}", f"--result_fd={result_fd}"]
    command += [f"--params={params}", f"--config={config}"]
    train_params = read_task(environment).train_params
    command += [f"--train_params={json.dumps(train_params)}"]
    with (experiment.root / "prepare.log").open("wb") as chatter:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=chatter,
            pass_fds=[result_fd],
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
