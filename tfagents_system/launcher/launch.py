"""The launcher: plans, prepares, starts, watches and stops a run.

Called by launch_training.sh with the user's variables in the environment. It imports
no TensorFlow: what it shows, it reads from the status files.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment import (
    identity,
    run_file,
    run_lock,
    services,
    status_file,
    status_writer,
)
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.experiment.identity import Mode
from tfagents_system.experiment.status_file import LAUNCHER, Phase, Status
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.host import ports, private_network
from tfagents_system.host.process_tree import adopt_orphans
from tfagents_system.launcher import (
    cpu_plan,
    daemontools,
    topology,
    variables_file,
)
from tfagents_system.launcher.detach import detach
from tfagents_system.launcher.stop import stop
from tfagents_system.launcher.watch import watch_until_done

# SLURM sends SIGUSR1 before the time limit where a job asks for it, and SIGTERM at it.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
PREPARE_LOG_PERIOD_SECS = 30.0
LOCK_RETRY_SECS = 1.0


class StopRequested(Exception):
    """Raised by the signal handlers in the launcher.

    Attributes:
      signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        """Keeps the signal."""
        super().__init__(signum)
        self.signum = signum


def plan_services(environment: Mapping[str, str], port: int) -> list[topology.Service]:
    """Plans the run that the environment describes on the CPUs at hand; prints it."""
    cpus = cpu_plan.allowed_cpus()
    plan = cpu_plan.plan_cpus(variables_file.read_cpu_request(environment), cpus)
    exp_dir = variables_file.read_exp_dir(environment)
    planned = topology.make_services(plan, exp_dir, port, sys.executable)
    print(topology.format_plan(plan, planned, len(cpus)), flush=True)
    return planned


@contextlib.contextmanager
def exclusive_run(experiment: Experiment) -> Iterator[int]:
    """Takes the experiment for this launcher; stops what a dead launcher left.

    Yields:
      The descriptor of the run's lock, for the processes to inherit.

    Raises:
      UserError: Another launcher is at work on it.
    """
    with (
        experiment.launcher_pid.open("a+") as pid_file,
        run_lock.open_lock(experiment) as lock,
    ):
        if not run_lock.try_lock(pid_file.fileno()):
            pid_file.seek(0)
            raise UserError(
                f"{experiment.root} is being trained by the launcher with pid "
                f"{pid_file.read().strip()}; see scripts/status.sh, or stop it with "
                "scripts/stop_training.sh"
            )
        pid_file.truncate(0)
        pid_file.write(f"{os.getpid()}\n")
        pid_file.flush()
        if not _try_lock_again(lock):
            print("A launcher died and left processes of this run; stopping them.")
            stop(experiment)
            if not run_lock.try_lock(lock):
                raise UserError(f"{experiment.lock} is still in use; try again")
        yield lock


def _try_lock_again(lock: int) -> bool:
    """Tries for a moment: scripts/status.sh takes the lock to see if it is free."""
    deadline = time.monotonic() + LOCK_RETRY_SECS
    while not run_lock.try_lock(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def prepare(experiment: Experiment, params: Path, config: Path) -> None:
    """Runs the prepare step in a process of its own.

    Raises:
      UserError: It failed; it has said why.
    """
    command = [sys.executable, "-m", "tfagents_system.processes", "prepare"]
    command += [f"--exp_dir={experiment.root}"]
    command += [f"--params={params}", f"--config={config}"]
    with (experiment.root / "prepare.log").open("wb") as chatter:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=chatter)
        started = time.monotonic()
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PREPARE_LOG_PERIOD_SECS)
                    break
                print(
                    "Still checking the params file and its environment (reset, step), "
                    f"{time.monotonic() - started:.0f} s now; Ctrl-C ends it.",
                    flush=True,
                )
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise UserError("nothing was started")


def write_run(
    experiment: Experiment,
    planned: Sequence[topology.Service],
    port: int,
    params: Path,
) -> None:
    """Writes what the processes must know, and their service directories."""
    # A snapshot that is launched itself stays a copy of what it was copied from.
    is_snapshot = params == experiment.params
    copied_from = run_file.params_folder(experiment) if is_snapshot else None
    run = run_file.Run(
        reverb_port=port,
        params_folder=str(copied_from or params.parent),
        services=tuple(
            run_file.RunService(
                name=service.name,
                cpus=service.cpus,
                starts_before=services.count_starts(experiment, service.name),
            )
            for service in planned
        ),
        run_id=uuid.uuid4().hex,
    )
    run.save(experiment)
    daemontools.remove_other_services(experiment, run.names)
    for service in planned:
        daemontools.write_service(experiment, service)
        status_writer.forget(experiment, service.name)


def make_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of all processes.

    Raises:
      UserError: daemontools is not installed.
    """
    # The services run in their own folders; they must find this very package.
    python_path = [str(REPOSITORY), environment.get("PYTHONPATH", "")]
    return {
        **environment,
        **topology.loopback_without_proxy(environment),
        "PATH": daemontools.daemontools_path(environment),
        "PYTHONPATH": os.pathsep.join(filter(None, python_path)),
    }


def launch(experiment: Experiment, variables: Mapping[str, str]) -> int:
    """Runs a training in the foreground until it is done or stopped.

    Args:
      experiment: The experiment.
      variables: The user's variables, and the rest of the environment.

    Returns:
      Exit code: 0 when training is complete, 128 + signal after a signal.

    Raises:
      UserError: Bad input, or a service that keeps failing.
    """
    params = variables_file.read_file(variables, "SAC_PARAMS")
    config = variables_file.read_file(variables, "SAC_CONFIG")
    identity.check(experiment, Mode.MANY_PROCESSES)
    experiment.make()
    adopt_orphans()
    environment = make_environment(variables)
    with exclusive_run(experiment) as lock:
        # Not before: from in there, what a dead launcher left could not be stopped.
        if private_network.is_wanted(variables):
            private_network.enter()
        identity.claim(experiment, Mode.MANY_PROCESSES)
        port = ports.choose_port(variables_file.read_port(variables))
        planned = plan_services(variables, port)
        status = StatusWriter(experiment, LAUNCHER, Status)
        status.enter(Phase.PREPARING)
        os.environ["SAC_NUM_COLLECT_WORKERS"] = str(len(planned) - 2)
        try:
            prepare(experiment, params, config)
            if experiment.done.exists():
                print(
                    f"Training is already complete: {experiment.root} (see DONE there)."
                    " To train on, raise num_iter in its config.json or params.py."
                )
                return 0
            write_run(experiment, planned, port, params)
            names = [service.name for service in planned]
            return _train(experiment, names, environment, lock, status)
        finally:
            status.enter(Phase.STOPPED)


def _train(
    experiment: Experiment,
    names: Sequence[str],
    environment: dict[str, str],
    lock: int,
    status: StatusWriter[Status],
) -> int:
    """Starts the services, watches them, and stops them; returns the exit code."""
    print(f"Training in {experiment.root}; stop with Ctrl-C.", flush=True)
    experiment.temporary_files.mkdir(exist_ok=True)
    environment["TMPDIR"] = str(experiment.temporary_files)
    status.enter(Phase.TRAINING)
    code = 0
    try:
        watch_until_done(experiment, names, environment, lock)
    except StopRequested as request:
        print("Stopping: checkpoint, then all processes ...", flush=True)
        code = 128 + request.signum
    finally:
        for signum in STOP_SIGNALS:  # A second Ctrl-C must not end the stopping.
            signal.signal(signum, signal.SIG_IGN)
        status.enter(Phase.STOPPING)
        stop(experiment)
    if problem := status_file.read_learner(experiment).problem:
        print(f"error: {problem}; the checkpoint before is the last one")
    if code == 0:
        print(f"Training is complete: {experiment.root}")
    else:
        print("Stopped. The same command resumes.")
    return code


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        prog="launch_training.sh VARIABLES.sh", description=__doc__
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan and start nothing"
    )
    parser.add_argument("--detach", action="store_true", help="train in the background")
    args = parser.parse_args()
    variables = dict(os.environ)
    experiment = Experiment(variables_file.read_exp_dir(variables))
    if args.dry_run:
        for name in ("SAC_PARAMS", "SAC_CONFIG"):
            variables_file.read_file(variables, name)
        print(f"Experiment directory: {experiment.root}")
        plan_services(variables, port=0)
        return 0
    if args.detach:
        return detach(experiment)

    def on_signal(signum: int, frame: FrameType | None) -> None:
        raise StopRequested(signum)

    for signum in STOP_SIGNALS:
        signal.signal(signum, on_signal)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return launch(experiment, variables)
    except StopRequested as request:  # Before anything was started.
        return 128 + request.signum


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    sys.exit(run_command(main))
