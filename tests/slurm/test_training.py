"""Trainings as jobs of a real SLURM: submitted, preempted, cancelled, in an array."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PENDULUM_PARAMS, REPOSITORY
from tests.end_to_end.harness import (
    ENDLESS,
    ENDLESS_PARAMS,
    Run,
    check_trained,
    evaluate,
    wait_for,
)
from tests.slurm.cluster import (
    Cluster,
    can_confine,
    job_processes,
    running_cluster,
)
from tests.slurm.submitting import submit, wait_for_state
from tfagents_system.experiment import run_file, snapshots
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.generations import list_generations
from tfagents_system.experiment.services import LEARNER, worker_name
from tfagents_system.experiment.status_file import Phase
from tfagents_system.launcher.cpu_plan import parse_cpu_list

pytestmark = pytest.mark.timeout(400)


def check_cpus(cluster: Cluster, run: Run, job_id: str) -> None:
    """Checks that each process runs on its CPUs of the plan, which are the job's."""
    details = cluster.call("scontrol", "show", "job", "--details", job_id)
    (cpus,) = (w for w in details.split() if w.startswith("CPU_IDs="))
    allotted = set(parse_cpu_list(cpus.partition("=")[2]))
    pids = run.pids()
    for service in run_file.Run.load(run.experiment).services:
        assert os.sched_getaffinity(pids[service.name]) == set(service.cpus)
        assert set(service.cpus) <= allotted, service


class Requeued:
    """A training as a job that SLURM ends and starts again."""

    def __init__(self, cluster: Cluster, run: Run, folder: Path) -> None:
        """Submits it, and waits until it trains."""
        self.cluster, self.run, self.log = cluster, run, folder / "job.log"
        given = {"SAC_EXP_DIR": str(run.experiment.root)}
        options = ["--cpus-per-task=2", "--partition=low", f"--output={self.log}"]
        self.id = submit(cluster, run.variables, *options, **given)
        run.wait_until_training()
        run.wait_for_progress()

    def preempt(self) -> None:
        """Submits a job that is more urgent."""
        self.cluster.submit("--partition=high", "--exclusive", "--wrap=sleep 1")

    def reach_time_limit(self) -> None:
        """Sends the signal that SLURM sends some time before the limit."""
        self.cluster.call("scancel", "--signal=USR1", "--batch", self.id)

    def requeue(self) -> None:
        """Has SLURM requeue it."""
        self.cluster.call("scontrol", "requeue", self.id)

    def check_resumes(self, number: int, reason: str) -> None:
        """Checks that it was saved, and goes on from there without a second warm-up."""
        run = self.run
        said = f"restart {number} ({reason})"
        wait_for(lambda: said in self.log.read_text(), said, 90)
        (saved, *_) = list_generations(run.experiment)
        assert saved.train_step == run.train_step > 0
        restored = f"restored {saved.path}"
        wait_for(lambda: restored in run.log(LEARNER), "the checkpoint")
        run.wait_until_training()
        warm_ups = run.log(worker_name(0)).count(Phase.WARMING_UP.value)
        assert warm_ups == 1
        run.wait_for_progress()


def test_a_training_resumes_whatever_ends_its_job_and_a_cancelled_one_is_saved(
    cluster: Cluster, tmp_path: Path
) -> None:
    run = Run(tmp_path, ENDLESS_PARAMS, horizon=50, train_params=ENDLESS)
    job = Requeued(cluster, run, tmp_path)
    status = run.call("scripts/status.sh", run.experiment.root).stdout
    assert f"SLURM job {job.id} on node0\n" in status
    job.preempt()
    job.check_resumes(1, "preempted or requeued")
    job.reach_time_limit()
    job.check_resumes(2, "time limit")
    job.requeue()
    job.check_resumes(3, "preempted or requeued")
    cluster.lose_node()
    job.check_resumes(4, "preempted or requeued")

    cluster.call("scancel", job.id)
    wait_for_state(cluster, job.id, "CANCELLED")
    wait_for(lambda: "cancelled; not requeued" in job.log.read_text(), "the end of it")
    run.assert_nothing_is_left()
    assert list_generations(run.experiment)[0].train_step == run.train_step
    assert not job_processes(Path(cluster.environment["SLURM_CONF"]).parent)


def test_the_minitaur_of_the_example_is_trained_to_its_end(
    cluster: Cluster, tmp_path: Path
) -> None:
    config = json.loads((REPOSITORY / "config" / "minitaur.json").read_text())
    config["horizon"] = 40
    config["train_params"] = {
        "num_iter": 12,
        "num_steps_per_iter": 25,
        "train_batch_size": 16,
        "n_buffer_init_episodes": 4,
        "n_eval_episodes": 1,
        "eval_period_itrs": 6,
        "actor_fc_layer_params": [32],
        "critic_joint_fc_layer_params": [32],
    }
    run = Run(tmp_path, "", **config)
    given = {
        "SAC_EXP_DIR": str(run.experiment.root),
        "SAC_CONFIG": str(tmp_path / "old_config.json"),
    }
    options = ["--cpus-per-task=2", f"--output={tmp_path}/job.log"]
    variables = REPOSITORY / "train_minitaur.sh"
    job_id = submit(cluster, variables, *options, **given)
    try:
        run.wait_until_training()
        check_cpus(cluster, run, job_id)
        wait_for_state(cluster, job_id, "COMPLETED", "FAILED")
    finally:
        print((tmp_path / "job.log").read_text())
    assert cluster.state(job_id) == "COMPLETED"
    check_trained(run.experiment, 12 * 25)
    assert evaluate(run)["length"] <= 40


@pytest.fixture
def confined() -> Iterator[Cluster]:
    """Yields a cluster that keeps jobs to their CPUs by force, where it may."""
    with running_cluster(confines=can_confine()) as cluster:
        yield cluster


def test_the_tasks_of_an_array_train_with_seeds_and_settings_of_their_own(
    confined: Cluster, tmp_path: Path
) -> None:
    name = f"test_{uuid.uuid4().hex}"
    train_params = {**ENDLESS, "num_iter": 2}
    run = Run(
        tmp_path,
        PENDULUM_PARAMS,
        train_cpus="auto",
        horizon=50,
        train_params=train_params,
    )
    sweep = tmp_path / "sweep.json"
    sweep.write_text('[{"discount": 0.9}, {"discount": 0.8}]')
    given = {"SAC_EXP_NAME": name, "SAC_SWEEP": str(sweep), "SAC_SEED": "5"}
    folders = [
        REPOSITORY / "logs" / f"{name}_task_{task}_discount={discount}"
        for task, discount in enumerate((0.9, 0.8))
    ]
    try:
        options = ["--cpus-per-task=1", "--array=0-1", f"--output={tmp_path}/%a.log"]
        job_id = submit(confined, run.variables, *options, **given)
        for task, folder in enumerate(folders):
            wait_for_state(confined, f"{job_id}_{task}", "COMPLETED", "FAILED")
            assert confined.state(f"{job_id}_{task}") == "COMPLETED"
            experiment = Experiment(folder)
            assert experiment.is_trained_for(2 * 10)
            params = snapshots.load(experiment)
            assert (params.seed, params.discount) == (5 + task, 0.9 - 0.1 * task)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def test_a_job_with_too_few_cpus_fails_at_once_and_says_what_to_ask_for(
    cluster: Cluster, tmp_path: Path
) -> None:
    run = Run(tmp_path, PENDULUM_PARAMS, workers=2, train_cpus=1, horizon=50)
    variables = run.variables.read_text()
    run.variables.write_text(
        variables + "SAC_REVERB_CPUS=1\nSAC_COLLECT_WORKER_CPUS=1\n"
    )
    log = tmp_path / "job.log"
    job_id = cluster.submit(
        "--cpus-per-task=2",
        f"--output={log}",
        f"--chdir={REPOSITORY}",
        f"--export=ALL,SAC_EXP_DIR={tmp_path}/exp",
        REPOSITORY / "scripts" / "slurm_train.sbatch",
        run.variables,
    )
    wait_for_state(cluster, job_id, "FAILED")
    last_line = log.read_text().splitlines()[-1]
    assert last_line.startswith("error: need 4 CPUs")
    assert last_line.endswith("in SLURM ask for --cpus-per-task=6")


def test_a_job_script_that_is_not_in_the_repository_says_so(
    cluster: Cluster, tmp_path: Path
) -> None:
    script = REPOSITORY / "scripts" / "slurm_train.sbatch"
    log = tmp_path / "job.log"
    where = [f"--output={log}", f"--chdir={tmp_path}"]
    job_id = cluster.submit(*where, script, "train_minitaur.sh")
    wait_for_state(cluster, job_id, "FAILED")
    assert log.read_text().endswith("submit from there, or with --chdir\n")
    assert cluster.job(job_id)["ExitCode"] == "2:0"
