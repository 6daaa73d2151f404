"""What the processes of a run are doing, and how to stop them.

Run by scripts/status.sh and scripts/stop_training.sh.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import time

from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment.directory import Experiment, read_json, resolve_path
from tfagents_system.experiment.progress import read_progress, read_status
from tfagents_system.launcher import daemontools, topology


def launcher_pid(experiment: Experiment) -> int | None:
    """Returns the pid of the living launcher of a run, or None."""
    if not experiment.launcher_pid.exists():
        return None
    with experiment.launcher_pid.open() as pid_file:
        if daemontools.try_lock(pid_file.fileno()):
            return None
        return int(pid_file.read())


def _ago(timestamp: float | None) -> str:
    if timestamp is None:
        return ""
    return f" for {max(0, round(time.time() - timestamp))} s"


def print_status(experiment: Experiment) -> None:
    """Prints whether a run is alive, its progress, and each service."""
    services = read_json(experiment.run)["services"]
    names = [service["name"] for service in services]
    starts_before = {service["name"]: service["starts_before"] for service in services}
    restarts = {
        name: daemontools.num_restarts(starts_before, experiment, name)
        for name in names
    }
    is_running = daemontools.is_running(experiment)
    if is_running:
        pid = launcher_pid(experiment)
        state = f"running, launcher pid {pid}" if pid else "running without launcher"
    else:
        state = "complete" if experiment.done.exists() else "stopped"
    print(f"{experiment.root}: {state}")
    print(read_progress(experiment, names).line(sum(restarts.values())))
    width = max(map(len, names))
    for name in names:
        status = read_status(experiment, name)
        pid = daemontools.pid_of(experiment, name) if is_running else None
        doing = f"{status.get('state', '')}{_ago(status.get('state_since'))}"
        print(
            f"  {name:<{width}}  {f'pid {pid}' if pid else 'down':<12}  "
            f"restarts {restarts[name]:<4}  "
            f"{doing if pid else ''}"
        )
        if "curriculum" in status:
            print(f"  {'':<{width}}  curriculum: {status['curriculum']}")


def stop_run(experiment: Experiment) -> None:
    """Stops a run: through its launcher if that lives, else directly."""
    pid = launcher_pid(experiment)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        print(f"Asked the launcher (pid {pid}) to stop.", flush=True)
        while launcher_pid(experiment) == pid:
            time.sleep(0.2)
    if daemontools.is_running(experiment):
        daemontools.stop(experiment)
    print("Stopped. Nothing of this run is left.")


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
        root = topology.read_exp_dir(topology.current_environment())
    experiment = Experiment(root)
    if not experiment.run.exists():
        raise UserError(f"no run in {root}")
    if args.action == "status":
        print_status(experiment)
    else:
        stop_run(experiment)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
