"""daemontools: service directories, starting, stopping and asking about them.

`svscan` runs in the folder of services and starts one `supervise` for each and one
for its log; `supervise` restarts its process whenever that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.experiment.progress import read_status
from tfagents_system.launcher.topology import (
    COLLECT_WORKER,
    LEARNER,
    TEMPLATES,
    Service,
)

LOCAL_DAEMONTOOLS = REPOSITORY / ".daemontools" / "usr" / "bin"
STOP_GRACE_SECS = 4.0
LEARNER_GRACE_SECS = 8.0
# A large replay takes its time to save; as long as the learner says that it does.
CHECKPOINT_GRACE_SECS = 600.0
POLL_SECS = 0.1
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>

logger = logging.getLogger(__name__)


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
    for script in ("run", "log/run"):
        shutil.copy(TEMPLATES / service.kind / script, folder / script)
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


@contextlib.contextmanager
def open_lock(experiment: Experiment) -> Iterator[int]:
    """Opens the run's lock file and yields its descriptor, not locked yet.

    Every process of a run inherits the locked descriptor, so that the lock lasts
    exactly as long as the last of them, however each of them ends.
    """
    descriptor = os.open(experiment.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Locks an open file; returns whether nobody else had it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_running(experiment: Experiment) -> bool:
    """Returns whether any process of the experiment's run lives."""
    if not experiment.lock.exists():
        return False
    with open_lock(experiment) as descriptor:
        return not try_lock(descriptor)


def lock_holders(experiment: Experiment) -> list[int]:
    """Returns the pids of the processes of the run: those with its lock file open."""
    lock = experiment.lock.stat()
    pids = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    opened = descriptor.stat()
                    if (opened.st_dev, opened.st_ino) == (lock.st_dev, lock.st_ino):
                        pids.append(int(process.name))
                        break
    return pids


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


def _svc(option: str, folders: Sequence[Path]) -> None:
    """Runs svc; folders without a supervise are silently passed over."""
    if folders:
        subprocess.run(
            ["svc", option, *map(str, folders)],
            env={"PATH": daemontools_path(os.environ)},
            stderr=subprocess.DEVNULL,
            check=False,
        )


def _wait_down(
    experiment: Experiment, folders: Sequence[Path], grace_secs: float
) -> bool:
    deadline = time.monotonic() + grace_secs
    while any(pid_of(experiment, folder.name) for folder in folders):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECS)
    return True


def _is_checkpointing(experiment: Experiment) -> bool:
    return bool(read_status(experiment, LEARNER).get("state") == "checkpointing")


def stop(experiment: Experiment) -> None:
    """Stops every process of the run, in bounded time.

    In order: the workers, so that what they wrote is in the last checkpoint; the
    learner, which saves itself and the replay; the replay server; the logs. What does
    not go is killed.
    """
    for pid in lock_holders(experiment) if experiment.lock.exists() else []:
        if _command_name(pid) == "svscan":  # Else it would start them again.
            _kill(pid, signal.SIGTERM)
    folders = service_folders(experiment)
    learner = [f for f in folders if f.name == LEARNER]
    workers = [f for f in folders if f.name.startswith(COLLECT_WORKER)]
    _svc("-d", workers)
    _wait_down(experiment, workers, STOP_GRACE_SECS)
    _svc("-d", learner)
    is_down = _wait_down(experiment, learner, LEARNER_GRACE_SECS)
    started = time.monotonic()
    while (
        not is_down
        and _is_checkpointing(experiment)
        and time.monotonic() - started < CHECKPOINT_GRACE_SECS
    ):
        is_down = _wait_down(experiment, learner, 1.0)
    others = [f for f in folders if f not in learner]
    _svc("-d", others)
    if not _wait_down(experiment, others, STOP_GRACE_SECS) or not is_down:
        _svc("-k", folders)
        _wait_down(experiment, folders, STOP_GRACE_SECS)
    _svc("-dx", [*folders, *(folder / "log" for folder in folders)])
    _kill_leftovers(experiment)
    shutil.rmtree(experiment.temporary_files, ignore_errors=True)


def _kill_leftovers(experiment: Experiment) -> None:
    """Waits until no process of the run is left; kills what takes too long."""
    if not experiment.lock.exists():
        return
    deadline = time.monotonic() + STOP_GRACE_SECS
    killed: set[int] = set()
    while pids := lock_holders(experiment):
        reap()
        if time.monotonic() > deadline and not killed.issuperset(pids):
            logger.warning("killing what did not stop: %s", pids)
            for pid in pids:
                _kill(pid, signal.SIGKILL)
            killed.update(pids)
        time.sleep(POLL_SECS)
    reap()


def adopt_orphans() -> None:
    """Makes this process the parent of those of its descendants whose parent ends.

    So that the launcher can collect what svscan leaves; in a container nobody else
    might, and the dead would stay as zombies.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Collects the dead that this process has adopted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _kill(pid: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def _command_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def num_restarts(
    starts_before: Mapping[str, int], experiment: Experiment, name: str
) -> int:
    """Returns how often a service was restarted in this run.

    Args:
      starts_before: How often each had been started before the run.
      experiment: The experiment.
      name: The service.
    """
    return max(0, count_starts(experiment, name) - starts_before.get(name, 0) - 1)


def count_starts(experiment: Experiment, name: str) -> int:
    """Returns how often a service has ever been started, by its `run` script."""
    return _count_lines(experiment.service(name) / "starts")


def count_failures(experiment: Experiment, name: str) -> int:
    """Returns how often a service has ever ended with an error of its own."""
    return _count_lines(experiment.service(name) / "failures")


def _count_lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def last_log_lines(experiment: Experiment, name: str, count: int) -> list[str]:
    """Returns the last lines of a service's log."""
    log = experiment.service_log(name)
    if not log.exists():
        return []
    text = log.read_text(encoding="utf-8", errors="replace")
    return text.splitlines()[-count:]
