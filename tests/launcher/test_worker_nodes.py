"""A training on two nodes of a real SLURM, of which one only has workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import PENDULUM_PARAMS
from tests.end_to_end.harness import ENDLESS, Run, wait_for
from tests.slurm.cluster import Cluster, job_processes, running_cluster
from tests.slurm.submitting import submit, wait_for_state
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.generations import list_generations
from tfagents_system.experiment.status_file import read_worker
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


@pytest.mark.timeout(400)
def test_the_workers_of_a_second_node_join_and_are_missed_without_harm(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, PENDULUM_PARAMS, horizon=50, train_params=ENDLESS)
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
    with running_cluster((2, 2)) as cluster:
        options = ["--nodes=2", "--cpus-per-task=2", f"--output={log}"]
        try:
            job_id = submit(cluster, run.variables, *options, **given)
            wait_for_worker()
            run.wait_until_training()
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
        finally:
            for path in (log, machine.root / "launcher.log"):
                print(path.read_text() if path.exists() else f"no {path}")
