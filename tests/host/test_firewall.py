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
from tests.networks import ADDRESS, linked_networks
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


@pytest.fixture
def machines() -> Iterator[tuple[list[str], list[str]]]:
    """Yields what runs a command on a machine that serves, and on one beside it."""
    with linked_networks() as (here, there):
        server = subprocess.Popen(
            [*here, sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        assert server.stdout.readline()
        yield here, there
        server.communicate("")


@pytest.mark.skipif(os.geteuid() != 0, reason="makes networks")
def test_the_rule_lets_only_the_user_who_trains_reach_the_port(
    machines: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    here, there = machines
    assert connects(PORT, *here)
    assert connects(PORT, *here, address=ADDRESS)
    assert connects(PORT, *there, address=ADDRESS)

    (rule,) = code_blocks(REPOSITORY / "docs" / "security.md", "nft")
    file = tmp_path / "sac.nft"
    file.write_text(rule)
    subprocess.run([*here, "/usr/sbin/nft", "--file", file], check=True)
    assert connects(PORT, *here, user=USER)
    assert not connects(PORT, *here)
    assert not connects(PORT, *here, address=ADDRESS)
    assert not connects(PORT, *there, address=ADDRESS)
    assert not connects(PORT, *there, address=ADDRESS, user=USER)
