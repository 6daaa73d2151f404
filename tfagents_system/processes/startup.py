"""What every process does before it imports anything large, and how it ends."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Callable, NoReturn

from absl import flags, logging

from tfagents_system.errors import INTERRUPTED, run_command
from tfagents_system.experiment import services
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.stopping import STOP_SIGNAL
from tfagents_system.host import process_tree, threads
from tfagents_system.host.headless import render_without_screen
from tfagents_system.host.quiet import quiet_imports

#: Set by `STOP_SIGNAL`, in a process that has something to save.
STOP = threading.Event()


@dataclasses.dataclass(frozen=True)
class Process:
    """How a process is prepared.

    Attributes:
      is_service: Whether daemontools starts it, in a folder of its own.
      stops_by_itself: Whether `STOP_SIGNAL` only sets `STOP`; otherwise it kills.
      uses_all_cpus: Whether TensorFlow may run an op on each of its CPUs at a time.
    """

    is_service: bool = True
    stops_by_itself: bool = False
    uses_all_cpus: bool = False


PROCESSES = {
    services.REPLAY_SERVER: Process(stops_by_itself=True),
    services.LEARNER: Process(stops_by_itself=True, uses_all_cpus=True),
    # A worker has nothing to save.
    services.COLLECT_WORKER: Process(),
    services.PREPARE: Process(is_service=False),
}


def prepare_process(name: str) -> None:
    """Prepares this process for its imports.

    It dies with its parent, imports quietly, renders without a screen, and has as many
    threads as suit it. A stop is noted from here on, before the slow imports: it must
    not interrupt half a restore.

    Args:
      name: One of `PROCESSES`.
    """
    process = PROCESSES[name]
    process_tree.die_with_parent()
    if process.is_service:
        # Also where nohup has had it ignored.
        signal.signal(
            STOP_SIGNAL, _on_stop if process.stops_by_itself else signal.SIG_DFL
        )
        # supervise has had it ignored; what a service starts must not ignore it, too.
        signal.signal(signal.SIGTERM, _do_nothing)
    quiet_imports()
    render_without_screen()
    threads.limit_tensorflow_threads(threads.num_cpus() if process.uses_all_cpus else 1)


def open_experiment() -> Experiment:
    """Returns the experiment that --exp_dir names."""
    # Absolute, because an environment may change the working directory.
    return Experiment(Path(flags.FLAGS.exp_dir).absolute())


def _on_stop(signum: int, frame: FrameType | None) -> None:
    STOP.set()


def _do_nothing(signum: int, frame: FrameType | None) -> None:
    """Leaves the stop to the launcher, which has got the same signal."""


def run_process(name: str, main: Callable[[], int], folder: Path) -> int:
    """Runs the main of a process; a service does not return from it.

    Args:
      name: One of `PROCESSES`.
      main: Returns the exit code.
      folder: Where the process was started; a service that fails says so there.

    Returns:
      The exit code.
    """
    if not PROCESSES[name].is_service:  # What it has to say is for the terminal.
        logging.set_verbosity(logging.WARNING)
        return run_command(main)
    logging.set_verbosity(logging.INFO)
    cpus = sorted(os.sched_getaffinity(0))
    logging.info("%s: pid %d, CPUs %s", folder.name, os.getpid(), cpus)
    code = _run_service(name, main)
    if code:
        services.record_failure(folder)
    end_process(code)


def _run_service(name: str, main: Callable[[], int]) -> int:
    """Runs the main of a service; any end that nobody asked for is a failure.

    Returns:
      The exit code: 0 only for a service that was stopped.
    """
    try:
        code = run_command(main)
    except BaseException:  # SystemExit, too: code of the user's may raise it.
        logging.exception("%s failed", name)
        return 1
    if code == 0 and not STOP.is_set():
        logging.error("%s ended, but nobody had stopped it", name)
        return 1
    if code == INTERRUPTED:
        logging.error("%s was interrupted (KeyboardInterrupt)", name)
    return code


def end_process(code: int) -> NoReturn:
    """Ends a service at once.

    A thread that waits in Reverb cannot be joined, and Reverb's own shutdown waits for
    its clients.
    """
    logging.flush()
    sys.stdout.flush()
    os._exit(code)
