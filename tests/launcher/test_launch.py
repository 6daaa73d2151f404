"""The launcher's steps before anything is started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY, WriteFiles
from tests.waiting import wait_for
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, run_lock, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.identity import Mode
from tfagents_system.experiment.status_file import Phase, Status
from tfagents_system.launcher import launch

VARIABLES = {"SAC_NUM_COLLECT_WORKERS": "2"}


@pytest.fixture(autouse=True)
def nobody_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps this process from adopting the orphans of later tests, as launchers do."""
    monkeypatch.setattr(launch, "adopt_orphans", lambda: None)


def test_a_directory_of_sac_train_is_refused_and_left_as_it_is(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    identity.claim(experiment, Mode.ONE_PROCESS)
    params, config = write_files()
    variables = {"SAC_PARAMS": str(params), "SAC_CONFIG": str(config)}
    with pytest.raises(UserError, match="belongs to sac-train"):
        launch.launch(experiment, variables)
    assert [path.name for path in experiment.root.iterdir()] == ["experiment.json"]


def test_a_launch_makes_the_directory_its_own(
    experiment: Experiment, write_files: WriteFiles
) -> None:
    params, config = write_files("raise ValueError('no')\n")
    variables = {**os.environ, "SAC_EXP_DIR": str(experiment.root)}
    variables |= {"SAC_PARAMS": str(params), "SAC_CONFIG": str(config)}
    with pytest.raises(UserError, match="nothing was started"):
        launch.launch(experiment, variables)
    with pytest.raises(UserError, match=r"belongs to launch_training\.sh"):
        identity.check(experiment, Mode.ONE_PROCESS)


def test_the_plan_is_printed_and_is_for_the_cpus_at_hand(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {**VARIABLES, "SAC_EXP_DIR": str(experiment.root)}
    planned = launch.plan_services(variables, port=8000)
    assert [service.name for service in planned] == [
        "replay_server",
        "learner",
        "collect_worker_0",
        "collect_worker_1",
    ]
    cpus = os.sched_getaffinity(0)
    assert capsys.readouterr().out.startswith(f"Plan for {len(cpus)} CPU")
    for service in planned:
        assert set(service.cpus) <= cpus
        assert service.environment["PYTHON"] == sys.executable
        assert service.environment["SAC_EXP_DIR"] == str(experiment.root)


def test_other_machines_find_this_one_unless_its_network_is_private() -> None:
    assert launch.public_host({}) == socket.gethostname()
    assert launch.public_host({"SAC_REVERB_HOST": "node7"}) == "node7"
    private = {"SAC_REVERB_HOST": "node7", "SAC_PRIVATE_NETWORK": "1"}
    assert launch.public_host(private) == ""


def read_launcher(experiment: Experiment) -> Status:
    return status_file.read_status(experiment, status_file.LAUNCHER, Status)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_stop_before_anything_was_started_ends_the_launcher(
    experiment: Experiment, write_files: WriteFiles, signum: signal.Signals
) -> None:
    """Signals the launcher while its prepare step is in the user's code."""
    params, config = write_files("import time, pathlib\ntime.sleep(100)\n")
    launcher = subprocess.Popen(
        [sys.executable, "-m", "tfagents_system.launcher.launch"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "SAC_PARAMS": str(params),
            "SAC_CONFIG": str(config),
            "SAC_EXP_DIR": str(experiment.root),
        },
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: read_launcher(experiment).phase is Phase.PREPARING)
    assert read_launcher(experiment).pid == launcher.pid
    launcher.send_signal(signum)
    assert launcher.wait(20) == 128 + signum
    assert not experiment.services.exists()
    assert not run_lock.is_running(experiment)
