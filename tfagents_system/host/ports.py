"""TCP ports on this machine, without importing Reverb."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from tfagents_system.errors import UserError


def _listen(port: int) -> int:
    """Listens on a port of all interfaces for a moment; returns its number.

    SO_REUSEADDR allows a port whose old connections linger, but not one on which
    anybody listens. Reverb itself sets SO_REUSEPORT, which would allow that too.
    """
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        probe.bind(("::", port))
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


def choose_port(environment: Mapping[str, str]) -> int:
    """Returns the replay server's port: SAC_REVERB_PORT, or a free one for `auto`.

    Raises:
      UserError: It is not a port, or it is taken.
    """
    text = environment.get("SAC_REVERB_PORT", "auto").strip()
    if text in ("auto", ""):
        return _listen(0)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UserError(f"SAC_REVERB_PORT={text!r} must be a port, 1-65535, or auto")
    check_free(int(text))
    return int(text)
