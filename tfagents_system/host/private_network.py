"""A network of its own for this process and its children (Linux).

Reverb answers whoever reaches its port. In a network namespace with nothing but
loopback, only processes of that namespace reach it: no other machine, and no other
user of this one.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from tfagents_system.errors import UserError

VARIABLE = "SAC_PRIVATE_NETWORK"

# <linux/sched.h>; os.unshare came with Python 3.12.
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
# <linux/sockios.h>, <linux/if.h>
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
# What else they mean where namespaces are made.
_REASONS = {errno.ENOSPC: "a limit in /proc/sys/user is reached"}


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Returns whether SAC_PRIVATE_NETWORK asks for a private network.

    Raises:
      UserError: It is neither 0 nor 1.
    """
    text = environment.get(VARIABLE, "").strip()
    if text not in ("", "0", "1"):
        raise UserError(f"{VARIABLE}={text!r} must be 0 or 1")
    return text == "1"


def enter() -> None:
    """Moves this process into a network of its own, in which only loopback is up.

    Its later children are in there too. Root needs nothing else for it; everybody else
    gets a user namespace as well, in which only their own user and group have a
    number. Call it while this process has a single thread.

    Raises:
      UserError: The kernel does not allow it.
    """
    try:
        try:
            _unshare(_CLONE_NEWNET)
        except PermissionError:
            _enter_as_user()
        _bring_loopback_up()
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise UserError(
            f"{VARIABLE}=1: the kernel allows this user no network namespace "
            f"({reason}); docs/security.md says what else keeps others away"
        ) from error


def _enter_as_user() -> None:
    """Enters a new user namespace and, with the rights it gives, a new network."""
    user, group = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    # The kernel wants this before an ordinary user may map a group.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
