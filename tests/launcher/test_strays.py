"""What the environments of a dead service have left is killed, and nothing else."""

from __future__ import annotations

import os
import signal

from tests.host.test_process_tree import is_dead
from tests.launcher.conftest import COUNT, SLEEP, StartServices
from tests.waiting import wait_for
from tfagents_system.experiment import services
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.launcher import daemontools

# Notes its pid, and does not stop when it is asked to.
SIMULATOR = "sh -c 'trap : TERM HUP; echo $$ >>simulators; while :; do sleep 100; done'"
# A service with a child, one in a session of its own, and one whose parent has ended.
WITH_SIMULATORS = f"""
{COUNT}
{SIMULATOR} &
setsid {SIMULATOR} &
setsid sh -c '{SIMULATOR.replace("'", '"').replace("$", chr(92) + "$")} & exit'
{SLEEP}
"""


def simulators(experiment: Experiment, name: str, count: int) -> list[int]:
    """Returns the pids of all simulators that a service has started; waits for them."""
    path = experiment.service(name) / "simulators"
    wait_for(lambda: path.exists() and len(path.read_text().split()) == count)
    return [int(pid) for pid in path.read_text().split()]


def test_simulators_of_a_dead_service_are_killed_and_the_living_ones_are_not(
    experiment: Experiment, start_services: StartServices
) -> None:
    start_services(collect_worker_0=WITH_SIMULATORS, collect_worker_1=WITH_SIMULATORS)
    names = ["collect_worker_0", "collect_worker_1"]
    old, others = (simulators(experiment, name, 3) for name in names)
    run = RunProcesses(experiment)
    assert {*old, *others} <= run.pids()
    assert run.strays() == set()
    pid = daemontools.pid_of(experiment, names[0])
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: services.count_starts(experiment, names[0]) == 2)
    new = simulators(experiment, names[0], 6)[3:]
    assert set(old) <= run.strays()
    run.kill_strays()
    assert all(map(is_dead, old))
    assert not any(map(is_dead, [*new, *others]))
    assert run.strays() == set()
