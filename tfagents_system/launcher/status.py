"""What the processes of a run are doing, and how to stop them.

Run by scripts/status.sh and scripts/stop_training.sh.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping

from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment import identity, run_lock, status_file
from tfagents_system.experiment.directory import Experiment, resolve_path
from tfagents_system.experiment.identity import Mode
from tfagents_system.experiment.progress import read_progress
from tfagents_system.experiment.run_file import Run, num_restarts
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.status_file import (
    LAUNCHER,
    CollectWorkerStatus,
    Phase,
    Status,
)
from tfagents_system.launcher import (
    daemontools,
    stop,
    variables_file,
    wording,
)
from tfagents_system.launcher.slurm_job import JobRecord

# A process that lives writes its status each second; a shared file system may be late.
LATE_SECS = 10.0


def print_status(experiment: Experiment) -> None:
    """Prints whether a run is alive, its progress, and each service.

    Raises:
      UserError: There is no run, or its run.json cannot be read.
    """
    try:
        run = Run.load(experiment)
    except UserError as error:
        _print_without_run_file(experiment, error)
        return
    restarts = {
        name: num_restarts(run.starts_before, experiment, name) for name in run.names
    }
    is_running = run_lock.is_running(experiment)
    place = f"on {run.host}" if run.is_elsewhere else ""
    print(f"{experiment.root}: {place or _describe_run(experiment, is_running)}")
    if job := JobRecord.load(experiment):
        print(job.describe())
    progress = read_progress(experiment, run.names)
    print(wording.progress_line(progress, sum(restarts.values())))
    if run.is_elsewhere:
        _print_from_files(experiment, run)
    else:
        _print_services(experiment, run, restarts, is_running)
    for number in experiment.machine_numbers():
        _print_machine(experiment, number)


def _print_services(
    experiment: Experiment, run: Run, restarts: Mapping[str, int], is_running: bool
) -> None:
    """Prints the services of a run on this machine."""
    width = max(map(len, run.names))
    for name in run.names:
        status = status_file.read_service(experiment, name)
        pid = daemontools.pid_of(experiment, name) if is_running else None
        print(
            f"  {name:<{width}}  {f'pid {pid}' if pid else 'down':<12}  "
            f"restarts {restarts[name]:<4}  "
            f"{_describe_phase(status) if pid else ''}"
        )
        if isinstance(status, CollectWorkerStatus) and status.curriculum:
            print(f"  {'':<{width}}  curriculum: {status.curriculum}")


def _print_from_files(experiment: Experiment, run: Run) -> None:
    """Prints the services of a run on another machine: only their files tell of it."""
    width = max(map(len, run.names))
    for name in run.names:
        status = status_file.read_service(experiment, name)
        heard_secs = time.time() - status_file.written_at(experiment, name)
        late = (
            f", last heard of {heard_secs:.0f} s ago" if heard_secs > LATE_SECS else ""
        )
        print(f"  {name:<{width}}  {_describe_phase(status)}{late}")


def _print_machine(experiment: Experiment, number: int) -> None:
    """Prints the workers that have joined from another machine."""
    machine = experiment.machine(number)
    try:
        run = Run.load(machine)
    except UserError:  # It has not joined yet.
        return
    print(f"machine {number}, {run.host}:")
    _print_from_files(machine, run)


def _print_without_run_file(experiment: Experiment, error: UserError) -> None:
    """Prints what is known while run.json cannot be read, as before the first one.

    Raises:
      UserError: Nothing is known.
    """
    identity.check(experiment, Mode.MANY_PROCESSES)
    if run_lock.is_running(experiment):
        phase = status_file.read_status(experiment, LAUNCHER, Status).phase.value
        running = _describe_run(experiment, is_running=True)
        print(f"{experiment.root}: {running}, {phase}; more is not known ({error})")
    elif experiment.run.exists():
        raise error
    else:
        raise UserError(f"no run in {experiment.root}")


def _describe_run(experiment: Experiment, is_running: bool) -> str:
    if not is_running:
        return "complete" if experiment.done.exists() else "stopped"
    pid = run_lock.launcher_pid(experiment)
    return f"running, launcher pid {pid}" if pid else "running without launcher"


def _describe_phase(status: Status) -> str:
    if not status.phase_since:
        return status.describe()
    secs = max(0, round(time.time() - status.phase_since))
    return f"{status.describe()} for {secs} s"


def stop_run(experiment: Experiment) -> None:
    """Stops a run: through its launcher if that lives, otherwise directly.

    Raises:
      UserError: There is no run, or none that can be stopped from here.
    """
    launchers = run_lock.holders(experiment.launcher_pid)
    run = RunProcesses(experiment)
    is_alive = bool(launchers or run.pids())
    if not launchers and not run.run_ids:
        identity.check(experiment, Mode.MANY_PROCESSES)
    if not is_alive and not experiment.run.exists():
        raise UserError(f"no run in {experiment.root}")
    for pid in launchers:
        print(f"Asked the launcher (pid {pid}) to stop.", flush=True)
        stop.stop_launcher(experiment, pid)
    if run.pids():
        stop.stop(experiment, run)
    _check_is_not_elsewhere(experiment)
    print("Stopped. Nothing of this run is left.")


def _check_is_not_elsewhere(experiment: Experiment) -> None:
    """Checks that no process of another machine trains in a directory.

    Raises:
      UserError: One does, as far as its files tell.
    """
    try:
        run: Run | None = Run.load(experiment)
    except UserError:
        run = None
    launcher = status_file.read_status(experiment, LAUNCHER, Status)
    if run is not None and run.is_elsewhere and launcher.phase is not Phase.STOPPED:
        host = run.host
    elif run_lock.is_running(experiment):
        host = "another machine"
    else:
        return
    job = JobRecord.load(experiment)
    way = f", or with scancel {job.job_id}" if job else ""
    raise UserError(f"{experiment.root} is in use on {host}; stop it there{way}")


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("status", "stop"))
    parser.add_argument(
        "exp_dir",
        nargs="?",
        help="the experiment directory; default: as the variables say",
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.exp_dir:
        root = resolve_path(args.exp_dir)
    else:
        root = variables_file.read_exp_dir(os.environ)
    experiment = Experiment(root)
    if args.action == "status":
        # As other commands do, it ends without a word when `head` has read enough.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        print_status(experiment)
    else:
        stop_run(experiment)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
