"""The launcher: plans, prepares, starts, watches and stops a run.

Called by launch_training.sh with the user's variables in the environment. It imports
no TensorFlow: what it shows, it reads from the status files.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment.directory import (
    REPOSITORY,
    Experiment,
    read_json,
    resolve_path,
    write_json,
)
from tfagents_system.experiment.progress import read_status
from tfagents_system.host import ports
from tfagents_system.launcher import daemontools, topology
from tfagents_system.launcher.watch import watch_until_done

# SLURM sends SIGUSR1 before the time limit where a job asks for it, and SIGTERM at it.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
PREPARE_LOG_PERIOD_SECS = 30.0
LOCK_RETRY_SECS = 1.0


class StopRequested(Exception):
    """Raised by the signal handlers in the launcher."""


def _required(environment: Mapping[str, str], name: str) -> Path:
    value = environment.get(name)
    if not value:
        raise UserError(f"{name} is not set; set it in the variables file")
    path = resolve_path(value)
    if not path.is_file():
        raise UserError(f"{name}: no file {value}")
    return path


def read_plan(
    environment: Mapping[str, str], port: int
) -> tuple[topology.CpuPlan, list[topology.Service]]:
    """Plans the run that the environment describes on the CPUs at hand."""
    cpus = topology.allowed_cpus()
    plan = topology.plan_cpus(topology.read_cpu_request(environment), cpus)
    exp_dir = topology.read_exp_dir(environment)
    services = topology.make_services(plan, exp_dir, port, sys.executable)
    print(topology.format_plan(plan, services, len(cpus)), flush=True)
    return plan, services


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
        daemontools.open_lock(experiment) as lock,
    ):
        if not daemontools.try_lock(pid_file.fileno()):
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
            daemontools.stop(experiment)
            if not daemontools.try_lock(lock):
                raise UserError(f"{experiment.lock} is still in use; try again")
        yield lock


def _try_lock_again(lock: int) -> bool:
    """Tries for a moment: scripts/status.sh takes the lock to see if it is free."""
    deadline = time.monotonic() + LOCK_RETRY_SECS
    while not daemontools.try_lock(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def prepare(experiment: Experiment, params: Path, config: Path) -> None:
    """Runs the prepare step in a process of its own.

    Raises:
      UserError: It failed; it has said why.
    """
    command = [sys.executable, "-m", "tfagents_system.processes.prepare"]
    command += ["--exp_dir", str(experiment.root)]
    command += ["--params", str(params), "--config", str(config)]
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
    services: Sequence[topology.Service],
    port: int,
    params: Path,
) -> None:
    """Writes what the processes must know, and their service directories."""
    source = params.parent
    if experiment.run.exists() and params == experiment.params:
        source = Path(read_json(experiment.run)["params_folder"])
    write_json(
        experiment.run,
        {
            "reverb_port": port,
            "params_folder": str(source),
            "services": [
                {
                    "name": service.name,
                    "cpus": list(service.cpus),
                    "starts_before": daemontools.count_starts(experiment, service.name),
                }
                for service in services
            ],
        },
    )
    names = [service.name for service in services]
    daemontools.remove_other_services(experiment, names)
    for service in services:
        daemontools.write_service(experiment, service)


def forget_states(experiment: Experiment, names: Sequence[str]) -> None:
    """Marks each service as not started, lest an earlier run's state be believed."""
    for name in names:
        if status := read_status(experiment, name):
            now = time.time()
            status.update(
                state="not started", state_since=now, progress_at=now, pid=None
            )
            write_json(experiment.status(name), status)


def train(experiment: Experiment, environment: dict[str, str]) -> int:
    """Runs a training in the foreground until it is done or stopped.

    Returns:
      Exit code: 0 when training is complete, 130 or 143 after a signal.
    """
    params = _required(environment, "SAC_PARAMS")
    config = _required(environment, "SAC_CONFIG")
    try:
        experiment.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {experiment.root}: {error.strerror}") from error
    daemontools.adopt_orphans()
    environment["PATH"] = daemontools.daemontools_path(environment)
    environment.update(topology.loopback_without_proxy(environment))
    # The services run in their own folders; they must find this very package.
    python_path = [str(REPOSITORY), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, python_path))
    with exclusive_run(experiment) as lock:
        port = ports.choose_port(environment)
        _, services = read_plan(environment, port)
        names = [service.name for service in services]
        os.environ["SAC_NUM_COLLECT_WORKERS"] = str(len(services) - 2)
        prepare(experiment, params, config)
        if experiment.done.exists():
            print(
                f"Training is already complete: {experiment.root} (see DONE there). To "
                "train on, raise num_iter in its config.json or params.py."
            )
            return 0
        write_run(experiment, services, port, params)
        forget_states(experiment, names)
        print(f"Training in {experiment.root}; stop with Ctrl-C.", flush=True)
        experiment.temporary_files.mkdir(exist_ok=True)
        environment["TMPDIR"] = str(experiment.temporary_files)
        code = 0
        try:
            watch_until_done(experiment, names, environment, lock)
        except StopRequested as request:
            print("Stopping: checkpoint, then all processes ...", flush=True)
            code = 128 + int(str(request))
        finally:
            for signum in STOP_SIGNALS:  # A second Ctrl-C must not end the stopping.
                signal.signal(signum, signal.SIG_IGN)
            daemontools.stop(experiment)
        if problem := read_status(experiment, topology.LEARNER).get("problem"):
            print(f"error: {problem}; the checkpoint before is the last one")
        if code == 0:
            print(f"Training is complete: {experiment.root}")
        else:
            print("Stopped. The same command resumes.")
    return code


def detach(experiment: Experiment) -> int:
    """Starts this launcher again in the background; returns once it runs.

    Returns:
      0, or the launcher's exit code if it ended at once.
    """
    experiment.root.mkdir(parents=True, exist_ok=True)
    log = experiment.root / "launcher.log"
    command = [sys.executable, "-m", "tfagents_system.launch"]
    with log.open("ab") as output:
        offset = output.tell()
        launcher = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    while launcher.poll() is None:
        text = log.read_bytes()[offset:].decode(errors="replace")
        if "Training in " in text:
            print(text, end="")
            print(f"In the background as pid {launcher.pid}; its log: {log}")
            print(f"Status: scripts/status.sh {shlex.quote(str(experiment.root))}")
            return 0
        time.sleep(0.2)
    print(log.read_bytes()[offset:].decode(errors="replace"), end="")
    return launcher.returncode


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
    environment = topology.current_environment()
    experiment = Experiment(topology.read_exp_dir(environment))
    if args.dry_run:
        for name in ("SAC_PARAMS", "SAC_CONFIG"):
            _required(environment, name)
        print(f"Experiment directory: {experiment.root}")
        read_plan(environment, port=0)
        return 0
    if args.detach:
        return detach(experiment)

    def on_signal(signum: int, frame: FrameType | None) -> None:
        raise StopRequested(signum)

    for signum in STOP_SIGNALS:
        signal.signal(signum, on_signal)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        return train(experiment, environment)
    except StopRequested as request:  # Before anything was started.
        return 128 + int(str(request))


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    sys.exit(run_command(main))
