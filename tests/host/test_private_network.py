"""A network of its own, as root and as an ordinary user; another user stays outside."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.errors import UserError
from tfagents_system.host import private_network

# Only root can become others: as an ordinary user these tests are all of one user, whom
# a network that is private keeps out all the same. Not 65534, as which a user without
# a number is shown.
OWN = os.geteuid()
USERS = [OWN] if OWN else [0, 4243]
STRANGER = OWN or 4242

# Listens on loopback, in a private network if told so; says where, and with which
# interfaces, and serves until its input ends.
SERVER = """
import ctypes, os, socket, sys
from tfagents_system.errors import run_command
from tfagents_system.host import private_network

user, is_private = int(sys.argv[1]), sys.argv[2] == "1"

def main():
    if user != os.geteuid():
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        # As if started by that user, who may not be allowed to start this Python.
        PR_SET_DUMPABLE = 4
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    if is_private:
        private_network.enter()
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        client.connect(server.getsockname())
        print(server.getsockname()[1], os.getuid(), os.getgid(),
              *(name for _, name in socket.if_nameindex()), flush=True)
        sys.stdin.read()
    return 0

sys.exit(run_command(main))
"""
# Connects as a user.
CLIENT = """
import os, socket, sys
user = int(sys.argv[3])
if user != os.geteuid():
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
with socket.socket() as client:
    sys.exit(client.connect_ex((sys.argv[1], int(sys.argv[2]))))
"""


def start_server(user: int, is_private: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, str(user), str(int(is_private))],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def connects(
    port: int,
    *wrapper: str,
    address: str = "127.0.0.1",
    user: int = STRANGER,
) -> bool:
    """Returns whether a user reaches a port.

    Args:
      port: The port.
      *wrapper: A command that runs another one somewhere else.
      address: Where the port is.
      user: The user's number; default: one who has nothing to do with the run.
    """
    command = [*wrapper, sys.executable, "-c", CLIENT, address, str(port), str(user)]
    code = subprocess.run(command, check=False).returncode
    assert code in (0, errno.ECONNREFUSED)
    return code == 0


@pytest.mark.parametrize("user", USERS)
def test_another_user_reaches_only_what_is_not_private(user: int) -> None:
    for is_private in (True, False):
        with start_server(user, is_private) as server:
            assert server.stdout is not None
            port, uid, gid, *interfaces = server.stdout.readline().split()
            assert (int(uid), int(gid)) == (user, user if user != OWN else os.getegid())
            assert (interfaces == ["lo"]) or not is_private
            assert connects(int(port)) != is_private
            server.communicate("")
        assert server.returncode == 0


def test_a_kernel_that_forbids_it_is_one_line() -> None:
    """A user namespace of the test's own has limits that it may set to nothing."""
    script = 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$0" -c "$1" 0 1'
    forbidding = ["unshare", "--map-root-user", "sh", "-c", script]
    result = subprocess.run(
        [*forbidding, sys.executable, SERVER],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == (
        "error: SAC_PRIVATE_NETWORK=1: the kernel allows this user no network "
        "namespace (a limit in /proc/sys/user is reached); docs/security.md says what "
        "else keeps others away\n"
    )


@pytest.mark.parametrize(
    ("value", "wanted"), [("1", True), ("0", False), ("", False), (None, False)]
)
def test_it_is_wanted_where_the_variable_is_1(value: str | None, wanted: bool) -> None:
    environment = {} if value is None else {"SAC_PRIVATE_NETWORK": value}
    assert private_network.is_wanted(environment) == wanted


def test_another_value_is_one_line() -> None:
    message = r"^SAC_PRIVATE_NETWORK='yes' must be 0 or 1$"
    with pytest.raises(UserError, match=message):
        private_network.is_wanted({"SAC_PRIVATE_NETWORK": "yes"})
