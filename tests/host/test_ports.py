"""Ports: a free one, and never one on which somebody listens."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.errors import UserError
from tfagents_system.host import ports


@pytest.fixture(params=[("0.0.0.0", socket.AF_INET), ("::1", socket.AF_INET6)])
def taken_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Yields a port on which somebody listens, as Reverb does."""
    address, family = request.param
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_a_chosen_port_can_be_listened_on() -> None:
    port = ports.choose_port()
    assert 0 < port < 65536
    assert ports.choose_port(port) == port
    with socket.create_server(("", port)):
        pass


def test_a_taken_port_is_one_line(taken_port: int) -> None:
    message = (
        rf"^port {taken_port} is taken \(Address already in use\); set "
        "SAC_REVERB_PORT to a free one, or to auto$"
    )
    with pytest.raises(UserError, match=message):
        ports.check_free(taken_port)
    with pytest.raises(UserError, match=message):
        ports.choose_port(taken_port)


def test_a_port_whose_old_connections_linger_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listener.accept()
            accepted.close()  # The side that closes first has it linger.
    ports.check_free(port)


# Makes the kernel answer this process as one without IPv6 would (a seccomp filter).
WITHOUT_IPV6 = """
import ctypes, errno, socket, struct

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
SYSTEM_CALL, FIRST_ARGUMENT = 0, 16  # Offsets in struct seccomp_data.
SYS_SOCKET = 41  # Of x86_64, the only one that has Reverb.
ALLOW, FAIL = 0x7FFF0000, 0x00050000
PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
filters = ctypes.create_string_buffer(b"".join(
    struct.pack("HBBI", *instruction) for instruction in (
        (LOAD, 0, 0, SYSTEM_CALL), (JUMP_IF_EQUAL, 0, 3, SYS_SOCKET),
        (LOAD, 0, 0, FIRST_ARGUMENT), (JUMP_IF_EQUAL, 0, 1, socket.AF_INET6),
        (RETURN, 0, 0, FAIL | errno.EAFNOSUPPORT), (RETURN, 0, 0, ALLOW),
    )
))
program = struct.pack("HxxxxxxP", 6, ctypes.addressof(filters))
libc = ctypes.CDLL(None)
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program) == 0
try:
    socket.socket(socket.AF_INET6)
except OSError as error:
    assert error.errno == errno.EAFNOSUPPORT
else:
    raise AssertionError("there is IPv6")
"""
SERVER = """
import sys, reverb
from tfagents_system.errors import UserError
from tfagents_system.host import ports
port = ports.choose_port()
server = reverb.Server([reverb.Table.queue("queue", 10)], port=port)
try:
    ports.check_free(port)
except UserError as error:
    print(port, error, flush=True)
sys.stdin.read()
"""
CLIENT = """
import sys
from tfagents_system.dataflow import replay
client = replay.connect(int(sys.argv[1]))
client.insert(7.0, {"queue": 1.0})
print(next(iter(client.sample("queue")))[0].data)
"""


# Two processes import TensorFlow, which takes long on a busy machine.
@pytest.mark.timeout(300)
def test_a_machine_without_ipv6_finds_ports_and_reverb_serves_there() -> None:
    def python(code: str) -> list[str]:
        return [sys.executable, "-c", WITHOUT_IPV6 + code]

    with subprocess.Popen(
        python(SERVER),
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        port, _, message = server.stdout.readline().partition(" ")
        assert message.startswith(f"port {port} is taken (Address already in use)")
        client = subprocess.run(
            [*python(CLIENT), port],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        server.communicate("")
    assert client.stdout == "[array(7.)]\n", client.stderr
    assert server.returncode == 0
