"""Every path of one experiment, its snapshots and its DONE mark.

Used by every process and by the launcher, so it must not import TensorFlow.

    <exp_dir>/
      config.json params.py      snapshots; a resumed run uses these
      run.json                   port, seed, services and CPUs of the current run
      specs.pbtxt                what the environment observes and how it acts
      services/<service>/        one daemontools service a process
      status/<service>.json      what each process says of itself, every second
      replay/                    Reverb's own checkpoint folder; nothing else in it
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
import json
import os
from pathlib import Path
from typing import Any, Callable

from tfagents_system.errors import UserError

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The paths of one experiment directory.

    Attributes:
      root: The experiment directory, absolute.
    """

    root: Path

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
        """What the launcher decided for the current run (see `topology`)."""
        return self.root / "run.json"

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
        """Locked for as long as any process of the run lives."""
        return self.root / "run.lock"

    @property
    def launcher_pid(self) -> Path:
        """Pid of the launcher; locked while that launcher lives."""
        return self.root / "launcher.pid"

    @property
    def replay(self) -> Path:
        """Reverb's checkpoint root. Reverb deletes what else it finds there."""
        return self.root / "replay"

    @property
    def checkpoints(self) -> Path:
        """Joint checkpoints of learner and replay (see `checkpoint`)."""
        return self.root / "train" / "checkpoints"

    @property
    def policies(self) -> Path:
        """Exported policies, TF-Agents' names (see `policy_export`)."""
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
        self.done.write_text(f"train_step {train_step}\n")

    def is_trained_for(self, train_steps: int) -> bool:
        """Returns whether training is complete and took that many gradient steps."""
        try:
            return int(self.done.read_text().split()[1]) >= train_steps
        except (FileNotFoundError, ValueError, IndexError):  # Or half written.
            return False

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


def write_json(path: Path, value: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def read_json(
    path: Path,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Reads a JSON file.

    Args:
      path: The file.
      object_pairs_hook: Makes an object of its keys and values, as in `json.loads`.

    Returns:
      What it holds.

    Raises:
      UserError: The file is missing or is not valid JSON.
    """
    try:
        return json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=object_pairs_hook
        )
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


def resolve_path(path: str) -> Path:
    """Finds a path as given, or else relative to the repository root.

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
