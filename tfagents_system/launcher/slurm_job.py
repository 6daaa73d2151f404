"""The SLURM job that a launcher runs in: what ends it, and whether it comes back.

SLURM sends SIGUSR1 to the launcher some time before the time limit, where the job asks
for that (scripts/slurm_train.sbatch does), and SIGTERM when it ends the job. After the
first, the job is ours to requeue. After the second SLURM has decided, but for a time
limit: it has requeued a job that was preempted or lost its node, and not one that was
cancelled.
"""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
from collections.abc import Mapping

import msgspec

from tfagents_system.errors import UserError
from tfagents_system.experiment import generations
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.files import write_bytes
from tfagents_system.launcher.console import say

# A job that gets no further is not requeued for ever (as submitit has it).
MAX_TIME_LIMITS_WITHOUT_PROGRESS = 3
# For one answer of SLURM's controller.
_ANSWER_SECS = 30.0


@dataclasses.dataclass(frozen=True)
class JobRecord:
    """slurm.json: the job that trains an experiment, for its status and its restarts.

    Attributes:
      job_id: The job.
      node: Where it runs.
      num_restarts: How often SLURM has started it again.
      ended_by: What ended the job before its last restart; empty: nothing that it heard
        of, such as a node that failed.
      train_step: Of the newest checkpoint when the time limit last came.
      num_time_limits: Time limits since a checkpoint was newer than the one before.
    """

    job_id: str
    node: str
    num_restarts: int = 0
    ended_by: str = ""
    train_step: int = 0
    num_time_limits: int = 0

    @classmethod
    def load(cls, experiment: Experiment) -> JobRecord | None:
        """Reads it; None if there is none that can be read."""
        try:
            return msgspec.json.decode(experiment.slurm.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None

    def save(self, experiment: Experiment) -> None:
        """Writes it to the experiment directory."""
        write_bytes(experiment.slurm, msgspec.json.encode(self) + b"\n")

    def describe(self) -> str:
        """Says for people where the job runs and how often it was started again."""
        text = f"SLURM job {self.job_id} on {self.node}"
        if self.num_restarts:
            reason = self.ended_by or "its node or its launcher failed"
            text += f", restart {self.num_restarts} ({reason})"
        return text


class SlurmJob:
    """The batch job of this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Reads what SLURM says of it in the environment."""
        self._id = environment["SLURM_JOB_ID"]
        self._node = environment.get("SLURMD_NODENAME", "an unknown node")
        self._num_restarts = int(environment.get("SLURM_RESTART_COUNT", "0"))

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> SlurmJob | None:
        """Returns the batch job that this process is started by; None without one."""
        is_batch = environment.get("ENVIRONMENT") == "BATCH"
        return cls(environment) if is_batch and "SLURM_JOB_ID" in environment else None

    def begin(self, experiment: Experiment) -> None:
        """Notes and says that the job trains an experiment."""
        before = JobRecord.load(experiment)
        record = JobRecord(self._id, self._node, self._num_restarts)
        if before is not None and before.job_id == self._id:
            record = dataclasses.replace(
                before, node=self._node, num_restarts=self._num_restarts
            )
        say(record.describe())
        record.save(experiment)

    def end(self, experiment: Experiment, signum: int) -> None:
        """Requeues the job where that is ours to do, and says whether it comes back.

        SLURM ends a job at once when it is requeued: call it last.

        Args:
          experiment: The experiment; it is saved, and nothing of it runs any more.
          signum: The signal that stopped the training.

        Raises:
          UserError: The job has reached its time limit too often without progress, or
            SLURM refuses to requeue it.
        """
        record = JobRecord.load(experiment) or JobRecord(self._id, self._node)
        if signum == signal.SIGUSR1:
            self._requeue_at_time_limit(experiment, record)
        elif signum == signal.SIGTERM:
            job = scontrol("show", "job", self._id)
            if re.search(r"\bReason=TimeLimit\b", job):
                self._requeue_at_time_limit(experiment, record)
                return
            restarts = re.search(r"\bRestarts=(\d+)", job)
            is_requeued = restarts and int(restarts[1]) > self._num_restarts
            reason = "preempted or requeued" if is_requeued else "cancelled"
            dataclasses.replace(record, ended_by=reason).save(experiment)
            comes_back = "SLURM starts it again" if is_requeued else "not requeued"
            say(f"SLURM job {self._id}: {reason}; {comes_back}.")

    def _requeue_at_time_limit(self, experiment: Experiment, record: JobRecord) -> None:
        saved = generations.list_generations(experiment)
        train_step = saved[0].train_step if saved else 0
        has_progress = train_step > record.train_step
        record = dataclasses.replace(
            record,
            ended_by="time limit",
            train_step=train_step,
            num_time_limits=1 if has_progress else record.num_time_limits + 1,
        )
        record.save(experiment)
        if record.num_time_limits >= MAX_TIME_LIMITS_WITHOUT_PROGRESS:
            raise UserError(
                f"SLURM job {self._id} is not requeued: it has reached its time limit "
                f"{record.num_time_limits} times at train step {train_step}; submit it "
                "with more time (--time)"
            )
        say(f"SLURM job {self._id}: time limit; requeueing it.")
        try:
            scontrol("requeue", self._id)
        except UserError as error:
            raise UserError(
                f"{error}; the training is saved, and submitting it again resumes it"
            ) from error


def scontrol(*arguments: str) -> str:
    """Asks SLURM's controller; returns the answer.

    Raises:
      UserError: It refuses, does not answer, or there is no scontrol.
    """
    try:
        result = subprocess.run(
            ["scontrol", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_ANSWER_SECS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"scontrol {' '.join(arguments)}: {error}") from error
    if result.returncode != 0:
        raise UserError(f"scontrol {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout
