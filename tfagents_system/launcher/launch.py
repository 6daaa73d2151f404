"""The launcher: plans, prepares, starts, watches and stops a run.

Called by launch_training.sh with the user's variables in the environment. It imports
no TensorFlow: what it shows, it reads from the status files.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfagents_system.errors import run_command
from tfagents_system.experiment import identity, run_file, status_file
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.experiment.identity import Mode
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.status_file import LAUNCHER, Phase, Status
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.host import ports, private_network
from tfagents_system.host.process_tree import adopt_orphans
from tfagents_system.launcher import begin_run, cpu_plan, topology, variables_file
from tfagents_system.launcher.console import say
from tfagents_system.launcher.detach import detach
from tfagents_system.launcher.prepare_step import prepare
from tfagents_system.launcher.run_locks import RunLocks, exclusive_run
from tfagents_system.launcher.signals import (
    SIGNALLED,
    StopRequested,
    raise_on_stop,
    shield_from_stop,
)
from tfagents_system.launcher.slurm_job import SlurmJob
from tfagents_system.launcher.stop import stop
from tfagents_system.launcher.watch import watch_until_done
from tfagents_system.launcher.worker_nodes import WorkerNodes
from tfagents_system.launcher.workers_only import launch_workers, machine_directory

ALREADY_COMPLETE = (
    "Training is already complete: {} (see DONE there). To train on, raise num_iter in "
    "its config.json or params.py."
)


def plan_services(environment: Mapping[str, str], port: int) -> list[topology.Service]:
    """Plans the run that the environment describes on the CPUs at hand; prints it."""
    cpus = cpu_plan.allowed_cpus()
    plan = cpu_plan.plan_cpus(variables_file.read_cpu_request(environment), cpus)
    exp_dir = variables_file.read_exp_dir(environment)
    planned = topology.make_services(plan, exp_dir, port, sys.executable)
    say(topology.format_plan(plan, planned, len(cpus)))
    return planned


def params_folder(experiment: Experiment, params: Path) -> str:
    """Returns the folder whose modules a params file imports.

    A snapshot that is launched itself stays a copy of what it was copied from.
    """
    is_snapshot = params == experiment.params
    copied_from = run_file.params_folder(experiment) if is_snapshot else None
    return str(copied_from or params.parent)


def public_host(variables: Mapping[str, str]) -> str:
    """Returns under which name other machines find this one; empty if they cannot.

    SAC_REVERB_HOST, or the name that it calls itself.
    """
    if private_network.is_wanted(variables):
        return ""
    return variables.get("SAC_REVERB_HOST") or socket.gethostname()


def launch(
    experiment: Experiment,
    variables: Mapping[str, str],
    job: SlurmJob | None = None,
) -> int:
    """Runs a training in the foreground until it is done or stopped.

    Args:
      experiment: The experiment.
      variables: The user's variables, and the rest of the environment.
      job: The SLURM job that this is.

    Returns:
      Exit code: 0 when training is complete, 128 + signal after a signal.

    Raises:
      UserError: Bad input, or a service that keeps failing.
      StopRequested: By a signal before anything was started.
    """
    params = variables_file.read_file(variables, "SAC_PARAMS")
    config = variables_file.read_file(variables, "SAC_CONFIG")
    identity.check(experiment, Mode.MANY_PROCESSES)
    experiment.make()
    adopt_orphans()
    run_id = uuid.uuid4().hex
    environment = begin_run.make_environment(variables, experiment, run_id)
    with exclusive_run(experiment) as locks:
        # Not before: from in there, what a dead launcher left could not be stopped.
        if private_network.is_wanted(variables):
            private_network.enter()
        identity.claim(experiment, Mode.MANY_PROCESSES)
        if job is not None:
            job.begin(experiment)
        run = RunProcesses(experiment, locks.lock, run_id)
        port = ports.choose_port(variables_file.read_port(variables))
        planned = plan_services(variables, port)
        environment["SAC_NUM_COLLECT_WORKERS"] = str(len(planned) - 2)
        status = StatusWriter(experiment, LAUNCHER, Status)
        status.enter(Phase.PREPARING)
        try:
            prepare(experiment, params, config, environment, run)
            locks.keep()
            if experiment.done.exists():
                say(ALREADY_COMPLETE.format(experiment.root))
                return 0
            begin_run.write_run(
                experiment,
                planned,
                reverb_port=port,
                params_folder=params_folder(experiment, params),
                run_id=run_id,
                public_host=public_host(variables),
            )
            names = [service.name for service in planned]
            nodes = WorkerNodes.of(experiment, variables)
            return _train(experiment, names, environment, locks, run, status, nodes)
        finally:
            if locks.is_here():
                status.enter(Phase.STOPPED)


def _train(
    experiment: Experiment,
    names: Sequence[str],
    environment: dict[str, str],
    locks: RunLocks,
    run: RunProcesses,
    status: StatusWriter[Status],
    nodes: WorkerNodes,
) -> int:
    """Starts the services, watches them, and stops them; returns the exit code."""
    say(f"Training in {experiment.root}; stop with Ctrl-C.")
    experiment.make_folder(experiment.temporary_files)
    environment["TMPDIR"] = str(experiment.temporary_files)
    status.enter(Phase.TRAINING)
    code = 0
    try:
        watch_until_done(experiment, names, environment, locks, run, nodes.keep_running)
    except StopRequested as request:
        say("Stopping: checkpoint, then all processes ...")
        code = request.exit_code
    finally:
        shield_from_stop()
        if locks.is_here():
            status.enter(Phase.STOPPING)
            nodes.stop()
            stop(experiment, run)
        else:  # Nothing can be saved there any more.
            nodes.stop()
            run.kill()
    locks.check_place()
    if problem := status_file.read_learner(experiment).problem:
        say(f"error: {problem}; the checkpoint before is the last one")
    if code == 0:
        say(f"Training is complete: {experiment.root}")
    else:
        say("Stopped. The same command resumes.")
    return code


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="launch_training.sh VARIABLES.sh", description=__doc__
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan and start nothing"
    )
    parser.add_argument("--detach", action="store_true", help="train in the background")
    parser.add_argument(
        "--workers-only",
        action="store_true",
        help="run workers that join a training on another machine",
    )
    return parser.parse_args()


def main() -> int:
    """Runs from the command line."""
    args = _parse_args()
    variables = dict(os.environ)
    experiment = Experiment(variables_file.read_exp_dir(variables))
    if args.dry_run:
        for name in ("SAC_PARAMS", "SAC_CONFIG"):
            variables_file.read_file(variables, name)
        say(f"Experiment directory: {experiment.root}")
        plan_services(variables, port=0)
        return 0
    if args.detach and args.workers_only:
        return detach(machine_directory(experiment, variables), "--workers-only")
    if args.detach:
        identity.check(experiment, Mode.MANY_PROCESSES)
        experiment.make()
        return detach(experiment)
    raise_on_stop()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if args.workers_only:
        try:
            return launch_workers(experiment, variables)
        except StopRequested as request:
            say("Stopped.")
            return request.exit_code
    job = SlurmJob.of(variables)
    try:
        code = launch(experiment, variables, job)
    except StopRequested as request:  # Before anything was started.
        code = request.exit_code
    if job is not None and code:
        job.end(experiment, code - SIGNALLED)
    return code


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    sys.exit(run_command(main))
