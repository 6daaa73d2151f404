"""A multilog that does not read any more is ended, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.launcher.conftest import StartServices, make_environment, write_script
from tests.small_disk import filled, small_disk
from tests.waiting import wait_for
from tfagents_system.experiment.directory import Experiment
from tfagents_system.launcher import daemontools, stuck_logs
from tfagents_system.launcher.stuck_logs import activity_before_input
from tfagents_system.launcher.topology import TEMPLATES
from tfagents_system.launcher.watch import Watch

TALK = "while :; do echo a line; sleep 0.01; done"


def start_with_logs(
    experiment: Experiment, start_services: StartServices, **bodies: str
) -> dict[str, int]:
    """Starts services with their logs; returns the pid of each log."""
    template = (TEMPLATES / "log" / "run").read_text()
    for name in bodies:
        write_script(experiment.service(name) / "log" / "run", template)
    start_services(**bodies)
    pids: dict[str, int] = {}

    def are_up() -> bool:
        for name in bodies:
            pid = daemontools.pid_of(experiment, f"{name}/log")
            if pid is not None and experiment.service_log(name).exists():
                pids[name] = pid
        return len(pids) == len(bodies)

    wait_for(are_up)
    return pids


def test_a_log_that_does_not_read_is_ended_and_no_other(
    experiment: Experiment,
    start_services: StartServices,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(stuck_logs, "LOOK_SECS", 0.5)
    pids = start_with_logs(
        experiment,
        start_services,
        learner=TALK,
        replay_server=TALK,
        collect_worker_0="exec sleep 100",
    )
    watched = Watch(experiment, list(pids))
    os.kill(pids["learner"], signal.SIGSTOP)
    said: list[str] = []

    def says_that_one_was_stuck() -> bool:
        watched.poll()
        said.extend(
            line for line in capsys.readouterr().out.splitlines() if "stuck" in line
        )
        return bool(said)

    wait_for(says_that_one_was_stuck)
    assert said == ["the log of learner was stuck and is started again"]
    wait_for(
        lambda: (
            daemontools.pid_of(experiment, "learner/log") not in (None, pids["learner"])
        )
    )
    size = experiment.service_log("learner").stat().st_size
    wait_for(lambda: experiment.service_log("learner").stat().st_size > size)
    for _ in range(3):  # The new one is left alone, and so are the others.
        time.sleep(stuck_logs.LOOK_SECS)
        says_that_one_was_stuck()
    assert len(said) == 1
    assert daemontools.pid_of(experiment, "replay_server/log") == pids["replay_server"]


def test_a_log_that_waits_for_room_on_its_disk_is_at_work(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1) as disk, filled(disk):
        multilog = subprocess.Popen(
            ["multilog", "./main"],
            cwd=disk,
            env=make_environment(),
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert multilog.stdin is not None
            multilog.stdin.write(b"a line\n" * 5000)
            multilog.stdin.flush()
            pausing: list[bytes | None] = [None]

            def pauses() -> bool:
                pausing.append(activity_before_input(multilog.pid))
                time.sleep(1.0)
                return pausing[-1] == activity_before_input(multilog.pid) is not None

            wait_for(pauses)
            wait_for(
                lambda: activity_before_input(multilog.pid) not in (pausing[-1], None)
            )
        finally:
            multilog.kill()
            multilog.communicate()


def test_a_process_without_input_has_nothing_to_do() -> None:
    with subprocess.Popen(["sleep", "100"], stdin=subprocess.PIPE) as sleeping:
        assert activity_before_input(sleeping.pid) is None
        assert sleeping.stdin is not None
        sleeping.stdin.write(b"a line\n")
        sleeping.stdin.flush()
        assert activity_before_input(sleeping.pid) is not None
        sleeping.kill()
    assert activity_before_input(sleeping.pid) is None
