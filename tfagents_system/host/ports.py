"""TCP ports on this machine, without importing Reverb."""

from __future__ import annotations

import socket

from tfagents_system.errors import UserError


def _listen(port: int) -> int:
    """Listens on a port of all interfaces for a moment; returns its number.

    As Reverb does: on IPv6 and IPv4, or on IPv4 where the kernel has nothing else.

    SO_REUSEADDR allows a port whose old connections linger, but not one on which
    somebody listens. Reverb itself sets SO_REUSEPORT, which would allow that too.
    """
    has_ipv6 = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if has_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if has_ipv6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        probe.bind(("", port))
        probe.listen(1)
        return int(probe.getsockname()[1])


def check_free(port: int) -> None:
    """Checks that nobody listens on a port.

    Raises:
      UserError: Somebody does.
    """
    try:
        _listen(port)
    except OSError as error:
        raise UserError(
            f"port {port} is taken ({error.strerror}); set SAC_REVERB_PORT to a free "
            "one, or to auto"
        ) from error


def choose_port(port: int | None = None) -> int:
    """Returns a free port.

    Args:
      port: The port; None: any.

    Raises:
      UserError: It is taken.
    """
    if port is None:
        return _listen(0)
    check_free(port)
    return port
