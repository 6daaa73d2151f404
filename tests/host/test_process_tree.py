"""Who dies with whom, and who collects the dead, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.waiting import wait_for
from tfagents_system.host import process_tree

# Starts a child that prints its pid once it is prepared and then sleeps; prints what
# the child said, and waits for its own end.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline(), end="", flush=True)
time.sleep(100)
"""
CHILD = """
import os, time
from tfagents_system.host import process_tree
{prepare}
print(os.getpid(), flush=True)
time.sleep(100)
"""


def state(pid: int) -> str:
    """Returns a process's state as in /proc, e.g. `S` or `Z`; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def is_dead(pid: int) -> bool:
    """Returns whether a process has ended, collected by its parent or not."""
    return state(pid) in ("", "Z")


def start_family(prepare: str) -> tuple[subprocess.Popen[str], int]:
    """Starts a parent and its child; returns the parent and the child's pid."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD.format(prepare=prepare)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def kill(parent: subprocess.Popen[str]) -> None:
    """Kills the parent, as the kernel does when memory is short."""
    parent.kill()
    parent.communicate()


def test_a_process_dies_with_its_parent() -> None:
    parent, child = start_family("process_tree.die_with_parent()")
    assert not is_dead(child)
    kill(parent)
    wait_for(lambda: is_dead(child))


def test_without_that_a_process_outlives_its_parent() -> None:
    parent, child = start_family("")
    kill(parent)
    assert not is_dead(child)
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: is_dead(child))


def test_a_process_whose_parent_died_before_the_kernel_knew_ends_at_once() -> None:
    code = """
import os
from tfagents_system.host import process_tree
answers = [os.getpid(), os.getppid()]  # Another parent at first.
process_tree.os.getppid = lambda: answers.pop(0)
process_tree.die_with_parent()
print("still alive")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert (result.returncode, result.stdout) == (-signal.SIGKILL, b"")


def test_orphans_are_adopted_and_reaped() -> None:
    """Kills a child in between; its own child ends and is collected."""
    code = f"""
import os, signal, subprocess, sys
from pathlib import Path
from tfagents_system.host import process_tree

process_tree.reap()  # There is nobody.
process_tree.adopt_orphans()
parent = subprocess.Popen(
    [sys.executable, "-c", {PARENT!r}, {CHILD.format(prepare="")!r}],
    stdout=subprocess.PIPE, text=True)
orphan = int(parent.stdout.readline())
parent.kill()
parent.wait()
stat = Path(f"/proc/{{orphan}}/stat")
def parent_and_state():
    state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
    return int(ppid), state
while parent_and_state()[0] != os.getpid():
    pass
process_tree.reap()  # It lives.
assert parent_and_state()[1] != "Z"
os.kill(orphan, signal.SIGKILL)
while parent_and_state()[1] != "Z":
    pass
process_tree.reap()
assert not stat.exists()
print("collected")
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "collected\n", result.stderr


def test_the_environment_of_a_process_is_what_it_was_started_with() -> None:
    given = {"ONE": "1", "LINES": "a\nb=c", "EMPTY": ""}
    with subprocess.Popen(["/bin/sleep", "100"], env=given) as process:
        wait_for(lambda: process_tree.environ(process.pid) == given)
        process.kill()
        wait_for(lambda: state(process.pid) == "Z")
        assert process_tree.environ(process.pid) == {}
    assert process_tree.environ(process.pid) == {}


def test_pid_and_start_name_one_process() -> None:
    own = process_tree.started_at(os.getpid())
    assert own is not None
    with subprocess.Popen(["sleep", "100"]) as process:
        started = process_tree.started_at(process.pid)
        assert started is not None
        assert started > own
        assert process.pid in process_tree.living()
        process.kill()
        wait_for(lambda: state(process.pid) == "Z")
        assert process_tree.started_at(process.pid) is None
    assert process_tree.started_at(process.pid) is None
    assert os.getpid() not in process_tree.living()


def test_descendants_are_children_of_children_too_and_no_dead_ones() -> None:
    parent, child = start_family("")
    assert {parent.pid, child} <= process_tree.descendants(os.getpid())
    assert process_tree.descendants(parent.pid) == {child}
    assert process_tree.descendants(child) == set()
    process_tree.send([child], signal.SIGKILL)
    wait_for(lambda: state(child) == "Z")
    assert process_tree.descendants(parent.pid) == set()
    kill(parent)
    process_tree.send([parent.pid, child], signal.SIGKILL)  # They are gone already.


def test_a_process_that_does_nothing_is_not_at_the_disk() -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        wait_for(lambda: state(process.pid) == "S")
        assert not process_tree.is_at_disk(process.pid)
        process.kill()
    assert not process_tree.is_at_disk(process.pid)
