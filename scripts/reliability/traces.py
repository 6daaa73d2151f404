"""What a training has on this machine: every process that comes from its start.

Each training gets a token in its environment, which every descendant inherits: the
services, and what an environment starts, wherever they are reparented.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
import uuid
from pathlib import Path

import psutil

_TOKEN = "RELIABILITY_TOKEN"
_PROCESSES_MODULE = "tfagents_system.processes"
_POLL_SECS = 0.5
# A parent may take a moment to ask for the exit code of its child; the launcher looks
# every second for what a service that was killed has forked.
_ZOMBIE_SECS = 10.0
_DOUBLED_SECS = 5.0


class Traces:
    """The processes of one training, and what they must not do.

    Attributes:
      violations: What must not have happened, a line each.
    """

    def __init__(self) -> None:
        """Makes up a token."""
        self._token = uuid.uuid4().hex
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._has_ended = threading.Event()
        self.violations: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """The variable that whatever is started must have in its environment."""
        return {_TOKEN: self._token}

    def processes(self) -> list[psutil.Process]:
        """Returns the living processes that have the token, zombies left out."""
        entry = f"{_TOKEN}={self._token}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            with contextlib.suppress(OSError, psutil.Error):
                # A zombie has no environment any more.
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(psutil.Process(int(folder.name)))
        return found

    def services(self) -> dict[str, list[psutil.Process]]:
        """Returns the processes of each service by its name, prepare left out."""
        by_name: dict[str, list[psutil.Process]] = collections.defaultdict(list)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if _PROCESSES_MODULE not in command or "prepare" in command:
                    continue
                name = command[command.index(_PROCESSES_MODULE) + 1]
                worker = f"_{command[-1]}" if "--worker" in command else ""
                by_name[name + worker].append(process)
        return dict(by_name)

    def find(self, program: str) -> list[psutil.Process]:
        """Returns the processes of a program, e.g. `svscan`."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.name() == program:
                    found.append(process)
        return found

    def describe(self) -> list[str]:
        """Describes the living processes, a line each."""
        lines = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                lines.append(f"{process.pid} {process.status()} {command[-120:]}")
        return lines

    def kill(self) -> None:
        """Kills whatever lives, until nothing does."""
        while left := self.processes():
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.05)

    def watch(self) -> None:
        """Looks for violations from now on, in a thread, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Ends `watch`."""
        self._has_ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        since: dict[str, float] = {}
        while not self._has_ended.wait(_POLL_SECS):
            now = time.monotonic()
            found = {
                **dict.fromkeys(self._doubled(), _DOUBLED_SECS),
                **dict.fromkeys(self._zombies(), _ZOMBIE_SECS),
            }
            since = {line: since.get(line, now) for line in found}
            for line, max_secs in found.items():
                if now - since[line] > max_secs and line not in self.violations:
                    self.violations.append(line)

    def _doubled(self) -> set[str]:
        """Returns the services that have two processes, as violations.

        What a process has forked is not a second one as long as its parent lives.
        """
        doubled = set()
        for name, processes in self.services().items():
            pids = {process.pid for process in processes}
            roots = []
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    if process.ppid() not in pids:
                        roots.append(process.pid)
            if len(roots) > 1:
                doubled.add(f"two processes of {name}")
        return doubled

    def _zombies(self) -> set[str]:
        """Returns the zombies whose parents are of this training, as violations."""
        zombies = set()
        for parent in self.processes():
            with contextlib.suppress(psutil.Error):
                if parent.status() == psutil.STATUS_STOPPED:
                    continue
                for child in parent.children():
                    if child.status() == psutil.STATUS_ZOMBIE:
                        zombies.add(f"zombie {child.pid} of {parent.name()}")
        return zombies
