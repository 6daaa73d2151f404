"""Two networks of this machine with a wire between them, as two machines have it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

ADDRESS = "10.0.0.1"


def _start() -> subprocess.Popen[str]:
    """Starts a process in a network of its own, to its input's end."""
    keep = "ip link set lo up && echo && exec cat"
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", keep],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


@contextlib.contextmanager
def linked_networks() -> Iterator[tuple[list[str], list[str]]]:
    """Makes the networks; needs root.

    Yields:
      What runs a command in the first, whose address is ADDRESS, and in the second.
    """
    with _start() as first, _start() as second:
        here, there = (
            ["nsenter", f"--net=/proc/{process.pid}/ns/net"]
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
