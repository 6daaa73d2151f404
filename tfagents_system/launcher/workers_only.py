"""A launcher of workers alone: those of another machine join a training.

It needs the experiment directory, on a file system that both machines have, and a way
to the port of the replay server. What belongs to this machine is in `machines/NUMBER`
there, laid out as an experiment directory. This launcher knows of the training by
run.json, DONE and the port alone: nothing relies on locks, pids or notifications of
another machine.
"""

from __future__ import annotations

import socket
import sys
import time
import uuid
from collections.abc import Mapping

from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.identity import Mode
from tfagents_system.experiment.run_file import Run
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.status_file import LAUNCHER, Phase, Status
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.host import files
from tfagents_system.host.process_tree import adopt_orphans
from tfagents_system.launcher import begin_run, cpu_plan, topology, variables_file
from tfagents_system.launcher.console import say
from tfagents_system.launcher.run_locks import RunLocks, exclusive_run
from tfagents_system.launcher.signals import shield_from_stop
from tfagents_system.launcher.stop import stop
from tfagents_system.launcher.watch import watch_until_done

# The numbers of a machine's workers begin at its own times this.
WORKERS_PER_MACHINE = 1000
POLL_SECS = 1.0
LOG_PERIOD_SECS = 30.0
ANSWER_SECS = 3.0
# A training may be away for a while: requeued, for example, or resumed by hand.
AWAY_SECS = 3600.0
# A worker that has not written its status for so long is dead.
SILENT_SECS = 30.0


class Training:
    """The training on the other machine.

    Attributes:
      run: Its run, when it was last found.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Looks for nothing yet."""
        self._experiment = experiment
        self.run: Run | None = None
        self._answered_at = self._asked_at = time.monotonic()

    @property
    def is_complete(self) -> bool:
        """Whether it is complete."""
        return self._experiment.done.exists()

    def wait(self) -> bool:
        """Waits until its replay server answers; returns False if it is complete.

        Raises:
          UserError: It has been away for too long, or nobody can reach it.
        """
        started = said_at = time.monotonic()
        while not self.is_complete:
            run = self._read_run()
            if run is not None and _answers(run):
                self.run = run
                self._answered_at = self._asked_at = time.monotonic()
                return True
            now = time.monotonic()
            where = f"{run.public_host}:{run.reverb_port}" if run else "not begun"
            if now - started > AWAY_SECS:
                raise UserError(
                    f"no training in {self._experiment.root} for {AWAY_SECS:.0f} s "
                    f"({where}); launch it, and these workers again"
                )
            if now - said_at >= LOG_PERIOD_SECS:
                said_at = now
                say(
                    f"Waiting for the training in {self._experiment.root} ({where}), "
                    f"{now - started:.0f} s now; Ctrl-C ends it."
                )
            time.sleep(POLL_SECS)
        return False

    def has_another_run(self) -> bool:
        """Returns whether it was launched again; looks whether it still answers.

        Raises:
          UserError: Its replay server has not answered for too long.
        """
        assert self.run is not None
        run = self._read_run()
        if run is not None and run.run_id != self.run.run_id:
            return True
        now = time.monotonic()
        if now - self._asked_at >= LOG_PERIOD_SECS:
            self._asked_at = now
            if _answers(self.run):
                self._answered_at = now
            elif now - self._answered_at > AWAY_SECS:
                raise UserError(
                    f"the training in {self._experiment.root} has not answered for "
                    f"{AWAY_SECS:.0f} s; launch it, and these workers again"
                )
            else:
                say(
                    f"The training in {self._experiment.root} does not answer since "
                    f"{now - self._answered_at:.0f} s; its workers wait."
                )
        return False

    def _read_run(self) -> Run | None:
        """Returns its run; None before the first.

        Raises:
          UserError: Nobody on another machine can reach it.
        """
        try:
            run = Run.load(self._experiment)
        except UserError:  # Not there yet, or this file system is late.
            return None
        if not run.public_host:
            raise UserError(
                f"the training in {self._experiment.root} has a private network "
                "(SAC_PRIVATE_NETWORK=1), where workers of other machines cannot join"
            )
        return run


def _answers(run: Run) -> bool:
    try:
        address = (run.public_host, run.reverb_port)
        with socket.create_connection(address, ANSWER_SECS):
            return True
    except OSError:
        return False


def machine_directory(
    experiment: Experiment, variables: Mapping[str, str]
) -> Experiment:
    """Returns the directory of this machine, which is made.

    Raises:
      UserError: SAC_MACHINE is no number, or there is no experiment.
    """
    machine = experiment.machine(variables_file.read_machine(variables))
    if not experiment.root.is_dir():
        raise UserError(
            f"no directory {experiment.root}; workers join a training that was begun, "
            "in a directory that both machines have"
        )
    machine.root.mkdir(parents=True, exist_ok=True)
    return machine


def _check_is_free(machine: Experiment) -> None:
    """Checks that no other machine has the number of this one.

    Raises:
      UserError: One has, and its workers live.
    """
    try:
        run = Run.load(machine)
    except UserError:  # Nobody had it yet.
        return
    launcher = status_file.read_status(machine, LAUNCHER, Status)
    last = max(status_file.written_at(machine, name) for name in run.names)
    is_live = launcher.phase is not Phase.STOPPED and time.time() - last < SILENT_SECS
    if run.is_elsewhere and is_live:
        raise UserError(
            f"{machine.root} is in use on {run.host}; set SAC_MACHINE to another number"
        )


def launch_workers(experiment: Experiment, variables: Mapping[str, str]) -> int:
    """Runs workers of a training until it is complete or they are stopped.

    Args:
      experiment: The training's.
      variables: The user's variables, and the rest of the environment.

    Returns:
      Exit code: 0 when training is complete.

    Raises:
      UserError: Bad input, a worker that keeps failing, or a training that is away.
      StopRequested: By a signal; nothing is left.
    """
    local = machine_directory(experiment, variables)
    _check_is_free(local)
    adopt_orphans()
    training = Training(experiment)
    own_id = uuid.uuid4().hex
    with exclusive_run(local) as locks:
        identity.claim(local, Mode.MANY_PROCESSES)
        run = RunProcesses(local, locks.lock, own_id)
        status = StatusWriter(local, LAUNCHER, Status)
        try:
            while training.wait():
                status.enter(Phase.TRAINING)
                if _work(experiment, local, training, variables, locks, run, own_id):
                    break
                say("The training was launched again; its workers are started again.")
                stop(local, run)
        finally:
            shield_from_stop()
            say("Stopping the workers ...")
            status.enter(Phase.STOPPING)
            stop(local, run)
            status.enter(Phase.STOPPED)
    say(f"Training is complete: {experiment.root}")
    return 0


def _work(
    experiment: Experiment,
    local: Experiment,
    training: Training,
    variables: Mapping[str, str],
    locks: RunLocks,
    run: RunProcesses,
    own_id: str,
) -> bool:
    """Runs the workers for one run of the training.

    Returns:
      Whether training is complete; otherwise it has another run.
    """
    head = training.run
    assert head is not None
    local.done.unlink(missing_ok=True)  # Of a run before; it has been made longer.
    for name in ("params", "config", "specs"):
        files.copy(getattr(experiment, name), getattr(local, name))
    cpus = cpu_plan.allowed_cpus()
    plan = cpu_plan.plan_workers(variables_file.read_cpu_request(variables), cpus)
    first_worker = WORKERS_PER_MACHINE * int(local.root.name)
    planned = topology.make_services(
        plan, local.root, head.reverb_port, sys.executable, first_worker
    )
    say(topology.format_plan(plan, planned, len(cpus)))
    environment = begin_run.make_environment(variables, local, own_id, head.public_host)
    begin_run.write_run(
        local,
        planned,
        reverb_port=head.reverb_port,
        params_folder=head.params_folder,
        run_id=head.run_id,
        reverb_host=head.public_host,
    )
    local.make_folder(local.temporary_files)
    environment["TMPDIR"] = str(local.temporary_files)
    say(f"Workers for {experiment.root}; stop with Ctrl-C.")

    def is_over() -> bool:
        if not training.is_complete:
            return training.has_another_run()
        if not local.done.exists():
            files.copy(experiment.done, local.done)
        return False

    names = [service.name for service in planned]
    return watch_until_done(local, names, environment, locks, run, is_over)
