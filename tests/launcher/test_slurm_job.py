"""Jobs of a real SLURM that train nothing: what ends them, and who comes back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.slurm.cluster import Cluster
from tests.waiting import wait_for
from tfagents_system.experiment import generations
from tfagents_system.experiment.directory import Experiment
from tfagents_system.launcher import slurm_job
from tfagents_system.launcher.slurm_job import JobRecord, SlurmJob

# What the launcher does in a job, but for the training.
LAUNCHER = """#!{python}
import os, signal, sys
sys.path.insert(0, "{repository}")
from pathlib import Path
from tests.launcher.test_slurm_job import save
from tfagents_system.errors import run_command
from tfagents_system.experiment.directory import Experiment
from tfagents_system.launcher.signals import StopRequested, raise_on_stop
from tfagents_system.launcher.slurm_job import SlurmJob


def main():
    raise_on_stop()
    experiment = Experiment(Path("{exp_dir}"))
    job = SlurmJob.of(os.environ)
    try:
        job.begin(experiment)
        signal.pause()
    except StopRequested as request:
        if "saves" in {variables}:
            save(experiment)
        job.end(experiment, request.signum)
        return request.exit_code


sys.exit(run_command(main))
"""


def save(experiment: Experiment) -> None:
    """Completes a checkpoint that is 100 gradient steps newer than the last."""
    saved = generations.list_generations(experiment)
    generations.partial_folder(experiment).mkdir(parents=True)
    generations.complete(
        experiment,
        train_step=100 + (saved[0].train_step if saved else 0),
        env_steps=0,
        episodes=0,
        row_layout="",
    )


class Job:
    """A job that waits for signals, in an experiment directory."""

    def __init__(self, cluster: Cluster, experiment: Experiment, script: Path) -> None:
        """Submits nothing yet."""
        self.cluster, self.experiment = cluster, experiment
        self._script = script
        self.id = ""

    def submit(self, *options: str, **variables: str) -> None:
        """Submits it, with options of sbatch, and waits until it runs."""
        script = self._script
        script.write_text(
            LAUNCHER.format(
                python=sys.executable,
                repository=REPOSITORY,
                exp_dir=self.experiment.root,
                variables=variables,
            )
        )
        self.id = self.cluster.submit(
            "--requeue",
            "--open-mode=append",
            f"--output={self.experiment.root}/output",
            *options,
            script,
        )
        self.wait_for_output(f"SLURM job {self.id} on node0\n")

    def wait_for_output(self, text: str, timeout_secs: float = 60) -> None:
        """Waits until it has printed that."""
        path = self.experiment.root / "output"
        wait_for(lambda: path.exists() and text in path.read_text(), timeout_secs)

    def wait_for_restart(self, number: int, reason: str) -> None:
        """Waits until SLURM has started it again."""
        self.wait_for_output(
            f"SLURM job {self.id} on node0, restart {number} ({reason})\n"
        )

    def wait_for_state(self, state: str) -> None:
        """Waits until the controller says that it is in a state."""
        wait_for(lambda: self.cluster.state(self.id) == state, 60)

    def reach_time_limit(self) -> None:
        """Sends the signal that SLURM sends some time before the limit."""
        self.cluster.call("scancel", "--signal=USR1", "--batch", self.id)


@pytest.fixture
def job(cluster: Cluster, experiment: Experiment, tmp_path: Path) -> Iterator[Job]:
    """Yields a job that is not submitted yet; cancels it in the end."""
    job = Job(cluster, experiment, tmp_path / "job")
    yield job
    cluster.call("scancel", job.id)
    wait_for(lambda: not cluster.call("squeue", "--noheader"), 60)


def test_without_a_batch_job_there_is_none() -> None:
    assert SlurmJob.of({}) is None
    # An interactive one has nobody to requeue it.
    assert SlurmJob.of({"SLURM_JOB_ID": "7"}) is None
    assert SlurmJob.of({"SLURM_JOB_ID": "7", "ENVIRONMENT": "BATCH"}) is not None


@pytest.mark.timeout(240)
def test_a_job_is_requeued_at_its_time_limit_as_long_as_it_gets_on(job: Job) -> None:
    job.submit(saves="1")
    for number in range(1, slurm_job.MAX_TIME_LIMITS_WITHOUT_PROGRESS + 1):
        job.reach_time_limit()
        job.wait_for_restart(number, "time limit")
    record = JobRecord.load(job.experiment)
    assert record is not None
    assert (record.job_id, record.node) == (job.id, "node0")
    assert (record.num_restarts, record.train_step) == (3, 300)
    assert record.num_time_limits == 1


@pytest.mark.timeout(240)
def test_a_job_without_progress_is_not_requeued_for_ever(job: Job) -> None:
    job.submit()
    for number in range(1, slurm_job.MAX_TIME_LIMITS_WITHOUT_PROGRESS):
        job.reach_time_limit()
        job.wait_for_restart(number, "time limit")
    job.reach_time_limit()
    job.wait_for_output(
        f"error: SLURM job {job.id} is not requeued: it has reached its time limit 3 "
        "times at train step 0; submit it with more time (--time)\n"
    )
    job.wait_for_state("FAILED")
    assert job.cluster.job(job.id)["ExitCode"] == "2:0"


@pytest.mark.timeout(240)
def test_a_time_limit_that_is_really_reached_is_known(job: Job) -> None:
    """SLURM looks at time limits twice a minute."""
    job.submit("--time=1")
    job.wait_for_output(f"SLURM job {job.id}: time limit; requeueing it.", 150)
    job.wait_for_restart(1, "time limit")


@pytest.mark.timeout(240)
def test_what_slurm_has_requeued_is_said_with_the_reason(job: Job) -> None:
    job.submit("--partition=low")
    other = job.cluster.submit("--partition=high", "--exclusive", "--wrap=sleep 1")
    said = f"SLURM job {job.id}: preempted or requeued; SLURM starts it again.\n"
    job.wait_for_output(said)
    job.wait_for_restart(1, "preempted or requeued")
    assert job.cluster.state(other) == "COMPLETED"

    job.cluster.call("scontrol", "requeue", job.id)
    job.wait_for_restart(2, "preempted or requeued")

    job.cluster.lose_node()
    job.wait_for_restart(3, "preempted or requeued")


@pytest.mark.timeout(120)
def test_a_cancelled_job_does_not_come_back(job: Job) -> None:
    job.submit(saves="1")
    job.cluster.call("scancel", job.id)
    job.wait_for_output(f"SLURM job {job.id}: cancelled; not requeued.\n")
    job.wait_for_state("CANCELLED")
    record = JobRecord.load(job.experiment)
    assert record is not None
    assert record.ended_by == "cancelled"


@pytest.mark.timeout(120)
def test_a_job_that_may_not_be_requeued_says_so(job: Job) -> None:
    job.submit("--no-requeue")
    job.reach_time_limit()
    job.wait_for_output("is presently disabled")
    job.wait_for_output("the training is saved, and submitting it again resumes it\n")
    job.wait_for_state("FAILED")


def test_another_job_of_the_experiment_begins_anew(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    JobRecord("6", "old", 2, "time limit", 100, 2).save(experiment)
    environment = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "new"}
    SlurmJob(environment).begin(experiment)
    assert capsys.readouterr().out == "SLURM job 7 on new\n"
    assert JobRecord.load(experiment) == JobRecord("7", "new")
    experiment.slurm.write_text("damaged")
    assert JobRecord.load(experiment) is None
