"""A training in a network of its own: watched and stopped from outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import PENDULUM_PARAMS
from tests.end_to_end.harness import Run
from tests.host.test_private_network import OWN, connects
from tfagents_system.experiment import run_file, run_lock
from tfagents_system.experiment.services import LEARNER


@pytest.mark.timeout(300)
def test_another_user_reaches_the_replay_only_in_the_network_of_the_run(
    tmp_path: Path,
) -> None:
    run = Run(
        tmp_path,
        PENDULUM_PARAMS,
        train_cpus="auto",
        train_params={"n_buffer_init_episodes": 1},
    )
    run.environment["SAC_PRIVATE_NETWORK"] = "1"
    try:
        launched = run.call("launch_training.sh", run.variables, "--detach")
        assert launched.returncode == 0, launched.stdout
        run.wait_until_training()
        num_cpus = len(os.sched_getaffinity(run.pids()[LEARNER]))
        assert f"in {num_cpus} shard(s)" in run.log(LEARNER)
        port = run_file.Run.load(run.experiment).reverb_port
        launcher = run_lock.launcher_pid(run.experiment)
        assert not connects(port)
        # An ordinary user's network belongs to a user namespace.
        nsenter = ["nsenter", *(["--user", "--preserve-credentials"] if OWN else [])]
        assert connects(port, *nsenter, "--net", "--target", str(launcher))

        status = run.call("scripts/status.sh", run.experiment.root).stdout
        assert f"running, launcher pid {launcher}\n" in status
        assert status.count("restarts 0 ") == len(run.services) + 1
        stopped = run.call("scripts/stop_training.sh", run.experiment.root)
        assert stopped.returncode == 0
        run.assert_nothing_is_left()
    finally:
        run.close()
