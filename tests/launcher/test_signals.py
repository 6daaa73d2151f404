"""The signals that stop a training, sent for real."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

PROGRAM = """
import signal, sys, time
from tfagents_system.launcher import signals
signals.raise_on_stop()
try:
    print("ready", flush=True)
    time.sleep(100)
except signals.StopRequested as request:
    print("stopping", flush=True)
    sys.stdin.readline()
    sys.exit(request.exit_code)
"""
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]


def start(code: str) -> subprocess.Popen[str]:
    """Starts a program and waits until it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_first_signal_stops_and_the_others_do_nothing(
    signum: signal.Signals,
) -> None:
    with start(PROGRAM) as process:
        process.send_signal(signum)
        assert process.stdout is not None
        assert process.stdout.readline() == "stopping\n"
        for other in SIGNALS:
            process.send_signal(other)
        process.communicate("\n")
    assert process.returncode == 128 + signum


def test_nohup_is_respected() -> None:
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    with start(ignore + PROGRAM) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        process.communicate("\n")
    assert process.returncode == 128 + signal.SIGUSR1


def test_who_stops_for_another_reason_is_shielded() -> None:
    code = """
import sys
from tfagents_system.launcher import signals
signals.raise_on_stop()
signals.shield_from_stop()
print("ready", flush=True)
sys.stdin.readline()
"""
    with start(code) as process:
        for signum in SIGNALS:
            process.send_signal(signum)
        process.communicate("\n")
    assert process.returncode == 0
