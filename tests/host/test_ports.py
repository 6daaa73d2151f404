"""Ports: a free one, and never one on which somebody listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

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
