"""The launcher: plans, prepares, starts, watches and stops a run.

Called by launch_training.sh with the user's variables in the environment. It imports
no TensorFlow: what it shows, it reads from the status files.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfagents_system.errors import run_command
from tfagents_system.experiment import (
    identity,
    run_file,
    services,
    status_file,
    status_writer,
)
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.experiment.identity import Mode
from tfagents_system.experiment.run_processes import RunProcesses
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


def plan_services(environment: Mapping[str, str], port: int) -> list[topology.Service]:
    """Plans the run that the environment describes on the CPUs at hand; prints it."""
    cpus = cpu_plan.allowed_cpus()
    plan = cpu_plan.plan_cpus(variables_file.read_cpu_request(environment), cpus)
    exp_dir = variables_file.read_exp_dir(environment)
    planned = topology.make_services(plan, exp_dir, port, sys.executable)
    say(topology.format_plan(plan, planned, len(cpus)))
    return planned


def write_run(
    experiment: Experiment,
    planned: Sequence[topology.Service],
    port: int,
    params: Path,
    run_id: str,
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
        run_id=run_id,
    )
    run.save(experiment)
    daemontools.remove_other_services(experiment, run.names)
    for service in planned:
        daemontools.write_service(experiment, service)
        status_writer.forget(experiment, service.name)


def make_environment(
    environment: Mapping[str, str], experiment: Experiment, run_id: str
) -> dict[str, str]:
    """Returns the environment of all processes.

    Args:
      environment: The user's.
      experiment: The experiment.
      run_id: The run's id, by which its processes are found.

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
        "SAC_EXP_DIR": str(experiment.root),
        "SAC_RUN_ID": run_id,
    }


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
    environment = make_environment(variables, experiment, run_id)
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
                say(
                    f"Training is already complete: {experiment.root} (see DONE there)."
                    " To train on, raise num_iter in its config.json or params.py."
                )
                return 0
            write_run(experiment, planned, port, params, run_id)
            names = [service.name for service in planned]
            return _train(experiment, names, environment, locks, run, status)
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
) -> int:
    """Starts the services, watches them, and stops them; returns the exit code."""
    say(f"Training in {experiment.root}; stop with Ctrl-C.")
    experiment.make_folder(experiment.temporary_files)
    environment["TMPDIR"] = str(experiment.temporary_files)
    status.enter(Phase.TRAINING)
    code = 0
    try:
        watch_until_done(experiment, names, environment, locks, run)
    except StopRequested as request:
        say("Stopping: checkpoint, then all processes ...")
        code = request.exit_code
    finally:
        shield_from_stop()
        if locks.is_here():
            status.enter(Phase.STOPPING)
            stop(experiment, run)
        else:  # Nothing can be saved there any more.
            run.kill()
    locks.check_place()
    if problem := status_file.read_learner(experiment).problem:
        say(f"error: {problem}; the checkpoint before is the last one")
    if code == 0:
        say(f"Training is complete: {experiment.root}")
    else:
        say("Stopped. The same command resumes.")
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
        say(f"Experiment directory: {experiment.root}")
        plan_services(variables, port=0)
        return 0
    if args.detach:
        identity.check(experiment, Mode.MANY_PROCESSES)
        experiment.make()
        return detach(experiment)
    raise_on_stop()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
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
