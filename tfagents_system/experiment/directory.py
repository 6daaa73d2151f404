"""Every path of one experiment, and its DONE mark.

<exp_dir>/
  experiment.json            whose this directory is (see `identity`)
  config.json params.py      snapshots; a resumed run uses these
  run.json                   port, services and CPUs of the current run
  specs.pbtxt                what the environment observes and how it acts
  services/<service>/        one daemontools service a process
  status/<service>.json      what each process says of itself, every second
  replay/                    Reverb's own checkpoint folder, and nothing else
  train/checkpoints/         joint checkpoints of learner and replay
  train/<service>/           TensorBoard: losses, rates, training episodes
  eval/<service>/            TensorBoard: evaluation episodes
  policies/                  SavedModels and checkpoints/policy_checkpoint_*
  videos/                    made by run.py
  tmp/                       the processes' temporary files, while they run
  DONE                       training is complete
"""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

from tfagents_system.errors import UserError
from tfagents_system.host.files import write_bytes

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The paths of one experiment directory.

    Attributes:
      root: The experiment directory, absolute.
    """

    root: Path

    def make(self) -> None:
        """Makes the directory, where a training begins.

        Raises:
          UserError: It cannot be made, or nothing can be written to it.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {self.root}: {error.strerror}") from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise UserError(
                f"cannot write to {self.root}; it belongs to another user, or its disk "
                "is read-only: set SAC_EXP_DIR or --logdir to another directory"
            )

    def make_folder(self, folder: Path) -> Path:
        """Makes a folder in the directory, but never the directory itself.

        A directory that was deleted while it was trained in must not come back.

        Args:
          folder: Its path, below `root`.

        Returns:
          The folder.

        Raises:
          OSError: The directory is gone, or the disk is full, for example.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "it is gone", str(self.root))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def identity(self) -> Path:
        """Whose the directory is (see `identity`)."""
        return self.root / "experiment.json"

    @property
    def config(self) -> Path:
        """Snapshot of the environment configuration (SAC_CONFIG)."""
        return self.root / "config.json"

    @property
    def params(self) -> Path:
        """Snapshot of the training parameters (SAC_PARAMS)."""
        return self.root / "params.py"

    @property
    def run(self) -> Path:
        """What the launcher decided for the current run (see `run_file`)."""
        return self.root / "run.json"

    @property
    def slurm(self) -> Path:
        """The SLURM job that trains it (see `launcher.slurm_job`)."""
        return self.root / "slurm.json"

    @property
    def specs(self) -> Path:
        """The specs of the environment (see `algorithm.specs`)."""
        return self.root / "specs.pbtxt"

    @property
    def services(self) -> Path:
        """The daemontools service directories."""
        return self.root / "services"

    @property
    def lock(self) -> Path:
        """Locked for as long as any process of the run lives (see `run_lock`)."""
        return self.root / "run.lock"

    @property
    def launcher_pid(self) -> Path:
        """Pid of the launcher; locked while that launcher lives."""
        return self.root / "launcher.pid"

    @property
    def replay(self) -> Path:
        """Reverb's checkpoint root. Reverb deletes everything else in it."""
        return self.root / "replay"

    @property
    def checkpoints(self) -> Path:
        """Joint checkpoints of learner and replay (see `generations`)."""
        return self.root / "train" / "checkpoints"

    @property
    def policies(self) -> Path:
        """Exported policies, by TF-Agents' names (see `learning.policy_export`)."""
        return self.root / "policies"

    @property
    def policy_checkpoints(self) -> Path:
        """Folder of the `policy_checkpoint_%010d` folders."""
        return self.policies / "checkpoints"

    @property
    def videos(self) -> Path:
        """Videos written by run.py."""
        return self.root / "videos"

    @property
    def temporary_files(self) -> Path:
        """TMPDIR of the processes; TensorFlow leaves files when it is killed."""
        return self.root / "tmp"

    @property
    def done(self) -> Path:
        """Exists once training is complete."""
        return self.root / "DONE"

    def mark_done(self, train_step: int) -> None:
        """Says that training is complete, after so many gradient steps."""
        write_bytes(self.done, f"train_step {train_step}\n".encode(), durable=True)

    def is_trained_for(self, train_steps: int) -> bool:
        """Returns whether training is complete and took that many gradient steps."""
        try:
            return int(self.done.read_text().split()[1]) >= train_steps
        except (FileNotFoundError, ValueError, IndexError):  # Or half written.
            return False

    def machine(self, number: int) -> Experiment:
        """Returns the directory of another machine, whose workers join the training.

        It is laid out as this one, with the params, logs and statuses of its workers.

        Args:
          number: Of the machine, from 1 on.
        """
        return Experiment(self.root / "machines" / str(number))

    @property
    def training(self) -> Experiment:
        """The training's own directory, if this is that of another machine."""
        folder = self.root.parent
        training = Experiment(folder.parent)
        is_machine = folder.name == "machines" and training.identity.exists()
        return training if is_machine else self

    def machine_numbers(self) -> list[int]:
        """Returns the numbers of the machines whose workers have ever joined."""
        names = (path.name for path in self.root.glob("machines/*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def service(self, name: str) -> Path:
        """Returns the daemontools directory of one service."""
        return self.services / name

    def service_log(self, name: str) -> Path:
        """Returns the newest log file of one service, as multilog writes it."""
        return self.service(name) / "log" / "main" / "current"

    def status(self, name: str) -> Path:
        """Returns the status file of one service."""
        return self.root / "status" / f"{name}.json"

    def train_summaries(self, name: str) -> Path:
        """Returns the folder of a service's training summaries."""
        return self.root / "train" / name

    def eval_summaries(self, name: str) -> Path:
        """Returns the folder of a worker's evaluation summaries."""
        return self.root / "eval" / name


def resolve_path(path: str) -> Path:
    """Finds a path as given, or relative to the repository root.

    The documented commands name paths relative to the repository root; this makes
    them work from any folder.

    Args:
      path: A path from a command line, a variables file or the environment.

    Returns:
      The absolute path; it need not exist.
    """
    given = Path(path).expanduser()
    if given.is_absolute() or given.exists():
        return given.resolve()
    return (REPOSITORY / given).resolve()
