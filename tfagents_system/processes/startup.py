"""What every process does first, and how it tells what it is doing.

Imports no TensorFlow, so that it can prepare the environment for that import.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

from tfagents_system.errors import run_command
from tfagents_system.experiment.directory import Experiment, read_json, write_json
from tfagents_system.experiment.progress import read_status
from tfagents_system.host.headless import render_without_screen
from tfagents_system.host.quiet import quiet_imports
from tfagents_system.settings import configuration
from tfagents_system.train_params_base import TrainParamsBase

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
STATUS_PERIOD_SECS = 1.0
WAIT_LOG_PERIOD_SECS = 30.0

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Run:
    """What the launcher decided for this run, as the processes read it.

    Attributes:
      reverb_port: TCP port of the replay server.
      params_folder: Folder that the params file was copied from.
    """

    reverb_port: int
    params_folder: Path

    @classmethod
    def load(cls, experiment: Experiment) -> Run:
        """Reads it from the experiment directory."""
        run = read_json(experiment.run)
        return cls(
            reverb_port=int(run["reverb_port"]),
            params_folder=Path(run["params_folder"]),
        )


def load_run(experiment: Experiment) -> tuple[Run, TrainParamsBase]:
    """Loads what the launcher decided, and the user's `TrainParams` from the snapshots.

    Raises:
      UserError: A snapshot does not load.
    """
    run = Run.load(experiment)
    config = configuration.load_config(experiment.config)
    params = configuration.load_params(experiment.params, config, run.params_folder)
    return run, params


def make_parser(description: str) -> argparse.ArgumentParser:
    """Makes the parser that every process starts from."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--exp_dir", required=True, type=Path, help="the experiment directory"
    )
    return parser


def begin(name: str) -> None:
    """Prepares this process: dies with its supervise, logs, imports quietly.

    Args:
      name: Name of the service.
    """
    _die_with_parent()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname).1s %(message)s",
    )
    quiet_imports()
    render_without_screen()
    logger.info(
        "%s: pid %d, CPUs %s", name, os.getpid(), sorted(os.sched_getaffinity(0))
    )


def run_service(main: Callable[[], int]) -> int:
    """Runs the main of a service; writes down if it fails.

    Args:
      main: Returns the exit code.

    Returns:
      The exit code.
    """
    try:
        code = run_command(main)
    except Exception:
        record_failure()
        raise
    if code:
        record_failure()
    return code


def record_failure() -> None:
    """Adds a line to `failures` in the service directory, where supervise starts us.

    So that the launcher can tell a process that fails from one that was killed.
    """
    with Path("failures").open("a") as failures:
        failures.write(f"{round(time.time())}\n")


def _die_with_parent() -> None:
    """Asks the kernel to kill this process when its `supervise` dies.

    Else a killed supervise would leave it running, and the next supervise would
    start a second one beside it.
    """
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # It died before the kernel knew.
        os.kill(os.getpid(), signal.SIGKILL)


def limit_threads(num_cpus: int) -> None:
    """Sizes TensorFlow's thread pools: one op a CPU at a time, each on one thread.

    The learner's shards are the ops that run side by side; a matrix product of a SAC
    network is too small to be worth splitting.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(num_cpus)


class Status:
    """What this process is doing, in a file that status and launcher read."""

    def __init__(self, experiment: Experiment, name: str) -> None:
        """Starts with the last values of a former process of this service.

        Args:
          experiment: The experiment.
          name: Name of the service.
        """
        self._path = experiment.status(name)
        self._fields = read_status(experiment, name)
        self._fields["pid"] = os.getpid()
        self._written_at = 0.0
        self._state = ""
        # The learner's training, saving and main threads all report.
        self._lock = threading.RLock()
        self.set_state("starting")

    def get(self, name: str, default: Any = None) -> Any:
        """Returns a field, also one that a former process of this service wrote."""
        return self._fields.get(name, default)

    def set_state(self, state: str) -> None:
        """Changes what the process is doing, logs it, and writes the file.

        Args:
          state: E.g. `training`, or `waiting for the learner`.
        """
        if state == self._state:
            return
        self._state = state
        self._fields["state"] = state
        self._fields["state_since"] = time.time()
        logger.info("%s", state)
        self.update(write_now=True)

    def update(self, write_now: bool = False, **fields: Any) -> None:
        """Changes fields; writes the file at most once a second unless told."""
        with self._lock:
            self._fields.update(fields)
            now = time.monotonic()
            if write_now or now - self._written_at >= STATUS_PERIOD_SECS:
                self._written_at = now
                try:
                    write_json(self._path, self._fields)
                except OSError as error:  # A full disk must not end the training.
                    logger.warning("status not written: %s", error)

    def report_progress(self, **counters: Any) -> None:
        """Changes counters; one that grows shows that this process gets on.

        Args:
          **counters: Numbers that grow as work is done.
        """
        if any(value > self._fields.get(name, 0) for name, value in counters.items()):
            self._fields["progress_at"] = time.time()
        self.update(**counters)


class WaitLog:
    """Says for whom this process waits and since when; never a silent hang."""

    def __init__(self, status: Status) -> None:
        """Reports to the given status."""
        self._status = status
        self._logged_secs = 0.0
        self._state_before: str | None = None

    def waiting(self, for_whom: str, waited_secs: float) -> None:
        """Call about every second while waiting.

        Args:
          for_whom: E.g. `the replay server on port 8000`.
          waited_secs: How long so far.
        """
        if self._state_before is None:
            self._state_before = self._status.get("state")
        self._status.set_state(f"waiting for {for_whom}")
        self._status.update()
        if waited_secs - self._logged_secs >= WAIT_LOG_PERIOD_SECS:
            self._logged_secs = waited_secs
            logger.info("still waiting for %s, %.0f s now", for_whom, waited_secs)

    def done(self) -> None:
        """Call when the wait is over, or there was none: back to the state before."""
        if self._state_before is not None:
            self._status.set_state(self._state_before)
            self._state_before = None
            self._logged_secs = 0.0


def wait_until(
    condition: Callable[[], bool],
    for_whom: str,
    status: Status,
    stop: threading.Event,
) -> bool:
    """Waits for a condition and says so.

    Args:
      condition: Asked about twice a second.
      for_whom: What to call it in the log.
      status: This process's status.
      stop: Ends the wait.

    Returns:
      Whether the condition came true; False if `stop` was set first.
    """
    waits = WaitLog(status)
    started = time.monotonic()
    while not condition():
        waits.waiting(for_whom, time.monotonic() - started)
        if stop.wait(0.5):
            return False
    return True
