"""Two networks of this machine with a wire between them, as two machines have it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

ADDRESS = "10.0.0.1"


def _start(*namespace: str) -> subprocess.Popen[str]:
    """Starts a process in a network of its own, to its input's end."""
    keep = "ip link set lo up && echo && exec cat"
    process = subprocess.Popen(
        [*namespace, "unshare", "--net", "sh", "-c", keep],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


@contextlib.contextmanager
def linked_networks() -> Iterator[tuple[list[str], list[str]]]:
    """Makes the networks, for an ordinary user in a user namespace.

    Yields:
      What runs a command in the first, whose address is ADDRESS, and in the second.
    """
    new_user = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]
    with contextlib.ExitStack() as running:
        first = running.enter_context(_start(*new_user))
        user = ["nsenter", f"--target={first.pid}", "--user", "--preserve-credentials"]
        same_user = user if new_user else []
        second = running.enter_context(_start(*same_user))
        here, there = (
            [*same_user, "nsenter", f"--net=/proc/{process.pid}/ns/net"]
            for process in (first, second)
        )
        link = f"ip link add wire type veth peer name wire netns {second.pid}"
        for command in (
            [*here, *link.split()],
            [*here, "ip", "address", "add", f"{ADDRESS}/24", "dev", "wire"],
            [*there, "ip", "address", "add", "10.0.0.2/24", "dev", "wire"],
            [*here, "ip", "link", "set", "wire", "up"],
            [*there, "ip", "link", "set", "wire", "up"],
        ):
            subprocess.run(command, check=True)
        yield here, there
        first.communicate("")
        second.communicate("")
