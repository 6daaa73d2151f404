"""daemontools: service directories, starting them, and commands to their supervise.

`svscan` runs in the folder of services and starts one `supervise` for each and one
for its log; `supervise` restarts its process whenever that ends.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tfagents_system.errors import UserError
from tfagents_system.experiment import services
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.host.process_tree import started_at
from tfagents_system.launcher.topology import TEMPLATES, Service

LOCAL_DAEMONTOOLS = REPOSITORY / ".daemontools" / "usr" / "bin"
POLL_SECS = 0.1
# svc and svstat do not wait for supervise; only a file system can hold them up.
COMMAND_SECS = 5.0


def daemontools_path(environment: Mapping[str, str]) -> str:
    """Returns a PATH on which daemontools is.

    Raises:
      UserError: It is not installed.
    """
    path = environment.get("PATH", os.defpath)
    if shutil.which("supervise", path=path):
        return path
    if (LOCAL_DAEMONTOOLS / "supervise").exists():
        return f"{path}:{LOCAL_DAEMONTOOLS}"
    raise UserError("daemontools is not installed; run scripts/setup.sh")


def write_service(experiment: Experiment, service: Service) -> None:
    """Writes a service directory from its template; keeps its logs and counts.

    Raises:
      UserError: envdir would hand a variable on changed.
    """
    folder = experiment.service(service.name)
    (folder / "log").mkdir(parents=True, exist_ok=True)
    shutil.copy(TEMPLATES / service.kind / "run", folder / "run")
    shutil.copy(TEMPLATES / "begin.sh", folder / "begin.sh")
    shutil.copy(TEMPLATES / "log" / "run", folder / "log" / "run")
    services.make_counts(folder)
    shutil.rmtree(folder / "env", ignore_errors=True)
    (folder / "env").mkdir()
    for name, value in service.environment.items():
        check_value(name, value)
        (folder / "env" / name).write_text(value + "\n", encoding="utf-8")


def check_value(name: str, value: str) -> None:
    """Checks that a variable reaches the services as it is.

    envdir takes the first line of a file and strips the blanks at its end, which would
    lead a service to another directory; those at the beginning are refused as well.

    Raises:
      UserError: It would not.
    """
    if value != value.strip() or set(value) & set("\n\r\0"):
        raise UserError(
            f"{name}={value!r} must not begin or end with blanks, nor hold line breaks"
        )


def remove_other_services(experiment: Experiment, names: Sequence[str]) -> None:
    """Removes service directories of an earlier plan with more workers."""
    if experiment.services.exists():
        for folder in experiment.services.iterdir():
            if folder.is_dir() and folder.name not in names:
                shutil.rmtree(folder)


def start(
    experiment: Experiment, environment: Mapping[str, str], lock: int
) -> subprocess.Popen[bytes]:
    """Starts svscan, and through it every service.

    Args:
      experiment: The experiment; its service directories are complete.
      environment: The environment of all processes.
      lock: The locked descriptor of the run's lock.

    Returns:
      The svscan process. It ignores the terminal's Ctrl-C and, as each supervise does,
      SIGTERM: what sends that to all processes of a job must not end supervision.
    """
    with _open_log(experiment) as log:
        return subprocess.Popen(
            ["sh", "-c", "trap '' TERM; exec svscan \"$0\"", str(experiment.services)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
        )


def _open_log(experiment: Experiment) -> BinaryIO:
    try:
        return (experiment.root / "svscan.log").open("ab")
    except OSError:  # Not writable any more; that must not end the training.
        return Path(os.devnull).open("ab")


def end(svscan: subprocess.Popen[bytes]) -> None:
    """Ends svscan, which has nothing to save; the services run on."""
    svscan.kill()
    svscan.wait()


def service_folders(experiment: Experiment) -> list[Path]:
    """Returns the service directories, the logs' not among them."""
    if not experiment.services.exists():
        return []
    return sorted(p for p in experiment.services.iterdir() if (p / "run").exists())


def pid_of(experiment: Experiment, name: str) -> int | None:
    """Returns the pid of a service's process, or None while it is down.

    A supervise that cannot write, as on a full disk, goes on naming a dead one.
    """
    output = _call("svstat", str(experiment.service(name)))
    match = re.search(r": up \(pid (\d+)\)", output)
    pid = int(match.group(1)) if match else None
    return pid if pid and started_at(pid) is not None else None


def tell_to_stop(folders: Sequence[Path]) -> None:
    """Tells services to end, and not to start again; see `STOP_SIGNAL`."""
    svc("-dh", folders)


def svc(option: str, folders: Sequence[Path]) -> None:
    """Runs svc, e.g. with `-k`; folders without a supervise are passed over."""
    if folders:
        _call("svc", option, *map(str, folders))


def _call(*command: str) -> str:
    """Runs a command of daemontools; returns its output."""
    try:
        return subprocess.run(
            command,
            env={"PATH": daemontools_path(os.environ)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=COMMAND_SECS,
        ).stdout
    except subprocess.TimeoutExpired:
        return ""


def wait_down(
    experiment: Experiment, folders: Sequence[Path], grace_secs: float
) -> bool:
    """Waits until services are down; returns whether they are.

    Args:
      experiment: The experiment.
      folders: Their directories.
      grace_secs: How long to wait.
    """
    deadline = time.monotonic() + grace_secs
    while any(pid_of(experiment, folder.name) for folder in folders):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECS)
    return True
