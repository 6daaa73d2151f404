"""A training on two nodes of a real SLURM, of which one only has workers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.end_to_end.harness import ENDLESS, ENDLESS_PARAMS, Run, wait_for
from tests.slurm.cluster import Cluster, job_processes, running_cluster
from tests.slurm.submitting import submit, wait_for_state
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.generations import list_generations
from tfagents_system.experiment.status_file import Phase, read_worker
from tfagents_system.launcher import daemontools
from tfagents_system.launcher.worker_nodes import WorkerNodes

WORKER = "collect_worker_1000"


def test_on_one_node_there_are_no_others(experiment: Experiment) -> None:
    for environment in ({}, {"SLURM_JOB_NUM_NODES": "1"}):
        nodes = WorkerNodes.of(experiment, environment)
        nodes.keep_running()
        nodes.stop()
    assert experiment.machine_numbers() == []


def cancel_step(cluster: Cluster, job_id: str) -> None:
    """Ends the job step of the other node."""
    steps = cluster.call("squeue", "--steps", f"--jobs={job_id}", "--format=%i %N")
    (step,) = (
        line.split()[0]
        for line in steps.splitlines()
        if line.endswith("node1") and not line.startswith(f"{job_id}.batch")
    )
    cluster.call("scancel", step)


def check_cpus(run: Run) -> None:
    """Checks that the processes of a node run on its CPU, and on no other."""
    for pid in run.pids().values():
        assert os.sched_getaffinity(pid) == {0}
    of_worker = daemontools.pid_of(run.experiment.machine(1), WORKER)
    assert of_worker is not None
    assert os.sched_getaffinity(of_worker) == {1}


def shorten(run: Run) -> None:
    """Leaves a training little to do."""
    config = json.loads(run.experiment.config.read_text())
    config["train_params"]["num_iter"] = run.train_step // 10 + 20
    run.experiment.config.write_text(json.dumps(config))


@pytest.mark.timeout(400)
def test_the_workers_of_a_second_node_join_and_are_missed_without_harm(
    tmp_path: Path,
) -> None:
    run = Run(
        tmp_path, ENDLESS_PARAMS, train_cpus="auto", horizon=50, train_params=ENDLESS
    )
    machine = run.experiment.machine(1)
    log = tmp_path / "job.log"

    def wait_for_worker() -> None:
        before = read_worker(machine, WORKER).worker_env_steps
        wait_for(
            lambda: read_worker(machine, WORKER).worker_env_steps > before,
            "the worker of the other node",
            200,
        )

    given = {
        "SAC_EXP_DIR": str(run.experiment.root),
        # Whatever this machine calls itself.
        "SAC_REVERB_HOST": "127.0.0.1",
    }
    with running_cluster(2) as cluster:
        options = ["--nodes=2", "--cpus-per-task=1", f"--output={log}"]
        try:
            job_id = submit(cluster, run.variables, *options, **given)
            wait_for_worker()
            run.wait_until_training()
            check_cpus(run)
            cancel_step(cluster, job_id)
            wait_for(lambda: "The workers on node1 have ended" in log.read_text(), "it")
            run.wait_for_progress()
            wait_for_worker()  # It is started again.
            cluster.call("scancel", job_id)
            wait_for_state(cluster, job_id, "CANCELLED")
            wait_for(lambda: "cancelled; not requeued" in log.read_text(), "its end")
            folder = Path(cluster.environment["SLURM_CONF"]).parent
            wait_for(lambda: not job_processes(folder), "the end of all")
            run.assert_nothing_is_left()
            assert list_generations(run.experiment)[0].train_step == run.train_step
            # Another job trains it to its end.
            shorten(run)
            job_id = submit(cluster, run.variables, *options, **given)
            wait_for_state(cluster, job_id, "COMPLETED", "FAILED")
            assert cluster.state(job_id) == "COMPLETED"
            assert run.experiment.is_trained_for(run.train_step)
            assert read_worker(machine, WORKER).phase is Phase.FINISHED
        finally:
            for path in (log, machine.root / "launcher.log"):
                print(path.read_text() if path.exists() else f"no {path}")
