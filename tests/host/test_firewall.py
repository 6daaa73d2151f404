"""The firewall rule of docs/security.md, between two networks made for the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.host.test_private_network import connects
from tests.test_docs import code_blocks

# As the documentation has them.
PORT = 8000
USER = 1000

# Says that it listens, as Reverb does on all interfaces, and serves to its input's end.
SERVER = f"""
import socket, sys
with socket.create_server(("", {PORT})):
    print(flush=True)
    sys.stdin.read()
"""


def start(*command: str) -> subprocess.Popen[str]:
    """Starts a command in a network of its own; waits for its first line."""
    up = 'ip link set lo up && exec "$0" "$@"'
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", up, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def in_network(process: subprocess.Popen[str]) -> list[str]:
    """Returns what runs a command in the network of a process."""
    return ["nsenter", f"--net=/proc/{process.pid}/ns/net"]


@pytest.fixture
def machines() -> Iterator[tuple[list[str], list[str]]]:
    """Yields what runs a command on a machine that serves, and on one beside it.

    The first has the address 10.0.0.1.
    """
    with (
        start(sys.executable, "-c", SERVER) as server,
        start("sh", "-c", "echo && exec cat") as neighbour,
    ):
        here, there = in_network(server), in_network(neighbour)
        link = f"ip link add wire type veth peer name wire netns {neighbour.pid}"
        for command in (
            [*here, *link.split()],
            [*here, "ip", "address", "add", "10.0.0.1/24", "dev", "wire"],
            [*there, "ip", "address", "add", "10.0.0.2/24", "dev", "wire"],
            [*here, "ip", "link", "set", "wire", "up"],
            [*there, "ip", "link", "set", "wire", "up"],
        ):
            subprocess.run(command, check=True)
        yield here, there
        server.communicate("")
        neighbour.communicate("")


@pytest.mark.skipif(os.geteuid() != 0, reason="makes networks")
def test_the_rule_lets_only_the_user_who_trains_reach_the_port(
    machines: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    here, there = machines
    assert connects(PORT, *here)
    assert connects(PORT, *here, address="10.0.0.1")
    assert connects(PORT, *there, address="10.0.0.1")

    (rule,) = code_blocks(REPOSITORY / "docs" / "security.md", "nft")
    file = tmp_path / "sac.nft"
    file.write_text(rule)
    subprocess.run([*here, "/usr/sbin/nft", "--file", file], check=True)
    assert connects(PORT, *here, user=USER)
    assert not connects(PORT, *here)
    assert not connects(PORT, *here, address="10.0.0.1")
    assert not connects(PORT, *there, address="10.0.0.1")
    assert not connects(PORT, *there, address="10.0.0.1", user=USER)
