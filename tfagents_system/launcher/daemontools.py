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

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.launcher.topology import TEMPLATES, Service

LOCAL_DAEMONTOOLS = REPOSITORY / ".daemontools" / "usr" / "bin"
POLL_SECS = 0.1


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
    """Writes a service directory from its template; keeps its logs and start count."""
    folder = experiment.service(service.name)
    (folder / "log").mkdir(parents=True, exist_ok=True)
    shutil.copy(TEMPLATES / service.kind / "run", folder / "run")
    shutil.copy(TEMPLATES / "log" / "run", folder / "log" / "run")
    shutil.rmtree(folder / "env", ignore_errors=True)
    (folder / "env").mkdir()
    for name, value in service.environment.items():
        (folder / "env" / name).write_text(value + "\n", encoding="utf-8")


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
      The svscan process; it ignores the terminal's Ctrl-C.
    """
    with (experiment.root / "svscan.log").open("ab") as log:
        return subprocess.Popen(
            ["svscan", str(experiment.services)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
        )


def service_folders(experiment: Experiment) -> list[Path]:
    """Returns the service directories, the logs' not among them."""
    if not experiment.services.exists():
        return []
    return sorted(p for p in experiment.services.iterdir() if (p / "run").exists())


def pid_of(experiment: Experiment, name: str) -> int | None:
    """Returns the pid of a service's process, or None while it is down."""
    path = daemontools_path(os.environ)
    output = subprocess.run(
        ["svstat", str(experiment.service(name))],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    match = re.search(r": up \(pid (\d+)\)", output)
    return int(match.group(1)) if match else None


def svc(option: str, folders: Sequence[Path]) -> None:
    """Runs svc, e.g. with `-d`; folders without a supervise are passed over."""
    if folders:
        subprocess.run(
            ["svc", option, *map(str, folders)],
            env={"PATH": daemontools_path(os.environ)},
            stderr=subprocess.DEVNULL,
            check=False,
        )


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
