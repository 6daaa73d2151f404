"""What each process says of itself: one typed file a service, about once a second.

The launcher, `scripts/status.sh`, and the processes themselves read these files.
Decisions depend on phases and counters; `describe` makes the text for people. A file
also keeps what a service must remember over its restarts, such as when it evaluated
last. `status_writer` writes them.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any, ClassVar, Optional, TypeVar, Union

import msgspec

from tfagents_system.experiment import services
from tfagents_system.experiment.directory import Experiment

#: Version of the files. 1 had untyped states; its counters have the same names.
FORMAT = 2


class Phase(enum.Enum):
    """What a process is doing; the value is how people read it."""

    UNKNOWN = "unknown"
    NOT_STARTED = "not started"
    STARTING = "starting"
    WAITING = "waiting"
    LOADING = "loading the replay"
    SERVING = "serving"
    WARMING_UP = "collecting with random actions"
    COLLECTING = "collecting"
    EVALUATING = "evaluating"
    TRAINING = "training"
    CHECKPOINTING = "checkpointing"
    PREPARING = "preparing"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"


class Awaited(enum.Enum):
    """Whom or what a process waits for."""

    REPLAY_SERVER = "the replay server"
    ROOM_IN_REPLAY = "the replay server to take experience"
    POLICY = "the learner's policy"
    WARM_UP = "the first experience"
    EXPERIENCE = "experience"
    DISK = "a disk that it can save to"


@dataclasses.dataclass
class Status:
    """What every process says.

    Attributes:
      format: Version of the file.
      phase: What it is doing.
      waiting_for: What it waits for; None in other phases.
      phase_since: When that began, Unix time in seconds.
      pid: Its process.
      progress_at: When one of its counters last grew, Unix time in seconds; 0: never.
      failure: Why it failed, one line; empty unless it has.
      written_steps: For each folder of summaries the last train step and env step
        written, so that no curve jumps back after a restart.
    """

    COUNTERS: ClassVar[tuple[str, ...]] = ()

    format: int = 1
    phase: Phase = Phase.UNKNOWN
    waiting_for: Optional[Awaited] = None
    phase_since: float = 0.0
    pid: Optional[int] = None
    progress_at: float = 0.0
    failure: str = ""
    written_steps: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    @property
    def counters(self) -> tuple[int, ...]:
        """What grows as this process gets its work done."""
        return tuple(getattr(self, name) for name in self.COUNTERS)

    def describe(self) -> str:
        """Says for people what the process is doing."""
        if self.phase is Phase.WAITING and self.waiting_for is not None:
            return f"waiting for {self.waiting_for.value}"
        if self.phase is Phase.FAILED:
            return f"failed: {self.failure}"
        return str(self.phase.value)


@dataclasses.dataclass
class ReplayServerStatus(Status):
    """The replay server's.

    Attributes:
      env_steps: Env steps of the whole training, as rows ever inserted.
      num_samples: Rows ever sampled.
      num_rows: Rows in the replay.
    """

    COUNTERS = ("env_steps", "num_samples")

    env_steps: int = 0
    num_samples: int = 0
    num_rows: int = 0


@dataclasses.dataclass
class LearnerStatus(Status):
    """The learner's.

    Attributes:
      train_step: Gradient steps done.
      iteration: Index of the current iteration.
      num_iter: Iterations of the whole training; 0 while unknown.
      num_steps_per_iter: Gradient steps of an iteration; 0 while unknown.
      env_steps: Env steps of the whole training.
      num_rows: Rows in the replay.
      min_rows: Rows in the replay before the first gradient step.
      train_steps_per_sec: Rate over the last seconds.
      env_steps_per_sec: Rate over the last seconds.
      problem: A problem that does not stop training; empty if there is none.
    """

    COUNTERS = ("train_step",)

    train_step: int = 0
    iteration: int = 0
    num_iter: int = 0
    num_steps_per_iter: int = 0
    env_steps: int = 0
    num_rows: int = 0
    min_rows: int = 0
    train_steps_per_sec: float = 0.0
    env_steps_per_sec: float = 0.0
    problem: str = ""

    def describe(self) -> str:
        """Says for people what the learner is doing."""
        text = super().describe()
        if self.phase is Phase.WAITING and self.waiting_for is Awaited.WARM_UP:
            text += f" ({self.num_rows:,} of {self.min_rows:,} rows)"
        return text


@dataclasses.dataclass
class CollectWorkerStatus(Status):
    """A collect worker's.

    Attributes:
      worker_env_steps: Env steps that it has collected.
      worker_episodes: Training episodes that it has finished.
      worker_eval_episodes: Evaluation episodes that it has finished.
      policy_train_step: Train step of the policy that it acts with.
      train_return: Return of its last training episode.
      train_success_rate: Of its last training episodes; None: no environment says.
      last_eval_iteration: Iteration of its last evaluation; None: there was none.
      eval_train_step: Train step of the policy that was evaluated last.
      eval_return: Mean return of that evaluation.
      eval_success_rate: Its success rate.
      best_eval_return: The highest mean return of its evaluations.
      best_eval_train_step: Train step of the policy that reached it.
      curriculum: What the curriculum set for the episode, by parameter.
    """

    COUNTERS = ("worker_env_steps", "worker_eval_episodes")

    worker_env_steps: int = 0
    worker_episodes: int = 0
    worker_eval_episodes: int = 0
    policy_train_step: int = 0
    train_return: Optional[float] = None
    train_success_rate: Optional[float] = None
    last_eval_iteration: Optional[int] = None
    eval_train_step: int = 0
    eval_return: Optional[float] = None
    eval_success_rate: Optional[float] = None
    best_eval_return: Optional[float] = None
    best_eval_train_step: int = 0
    curriculum: dict[str, Union[int, float]] = dataclasses.field(default_factory=dict)


S = TypeVar("S", bound=Status)
# Names that have a status, a plain `Status`, but are not services.
LAUNCHER = "launcher"
ONE_PROCESS = "sac"


def read_status(experiment: Experiment, name: str, kind: type[S]) -> S:
    """Reads the status of a service.

    Args:
      experiment: The experiment.
      name: Name of the service.
      kind: Class of its status.

    Returns:
      The status. Its phase is NOT_STARTED if there is no file yet, and UNKNOWN if the
      file is damaged or of an unknown version.
    """
    try:
        contents = experiment.status(name).read_bytes()
    except FileNotFoundError:
        return kind(phase=Phase.NOT_STARTED)
    except OSError:
        return kind()
    try:
        # Not msgspec's own parser: files of format 1 may hold NaN.
        fields = json.loads(contents)
        status = msgspec.convert(_upgrade(fields), kind)
    except (ValueError, msgspec.ValidationError):
        return kind()
    return status if 1 <= status.format <= FORMAT else kind()


def _upgrade(fields: Any) -> Any:
    """Returns the fields of a file of format 1 under their names of today."""
    if isinstance(fields, dict) and "format" not in fields:
        fields["written_steps"] = {
            name: fields[f"written_{name}"]
            for name in ("train", "eval")
            if f"written_{name}" in fields
        }
    return fields


def read_learner(experiment: Experiment) -> LearnerStatus:
    """Reads the learner's status."""
    return read_status(experiment, services.LEARNER, LearnerStatus)


def read_replay_server(experiment: Experiment) -> ReplayServerStatus:
    """Reads the replay server's status."""
    return read_status(experiment, services.REPLAY_SERVER, ReplayServerStatus)


def read_worker(experiment: Experiment, name: str) -> CollectWorkerStatus:
    """Reads a collect worker's status."""
    return read_status(experiment, name, CollectWorkerStatus)


def read_workers(experiment: Experiment) -> list[CollectWorkerStatus]:
    """Reads the status of each collect worker that ever had one, on any machine."""
    machines = map(experiment.machine, experiment.machine_numbers())
    return [
        read_worker(machine, path.stem)
        for machine in (experiment, *machines)
        for path in sorted(
            machine.status("").parent.glob(f"{services.COLLECT_WORKER}*.json")
        )
    ]


def written_at(experiment: Experiment, name: str) -> float:
    """Returns when a service last wrote its status, Unix time; 0: never.

    A process that lives writes it about once a second.
    """
    try:
        return experiment.status(name).stat().st_mtime
    except OSError:
        return 0.0


def read_service(experiment: Experiment, name: str) -> Status:
    """Reads the status of any service, by its name."""
    if name == services.LEARNER:
        return read_learner(experiment)
    if name == services.REPLAY_SERVER:
        return read_replay_server(experiment)
    return read_worker(experiment, name)
