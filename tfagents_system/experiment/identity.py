"""experiment.json: whose an experiment directory is, and what it has reached.

    {"mode": "many processes", "layout": 2, "has_checkpoint": true}

A directory belongs to one mode and to one version of its layout. Whoever trains in it
checks that before writing anything, and claims a new one. It also remembers that there
was a checkpoint once, so that a training whose checkpoints are gone does not silently
begin again at step 0.
"""

from __future__ import annotations

import dataclasses
import enum

import msgspec

from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.files import write_json

#: Version of the layout of a directory. Those of 1 have no experiment.json.
LAYOUT = 2

# What a training writes into, or empties. A directory that has one of these and is not
# an experiment's is somebody else's; other files, such as the user's variables file or
# the log of a scheduler, are left alone.
_WRITTEN_NAMES = (
    "DONE",
    "eval",
    "policies",
    "replay",
    "services",
    "tmp",
    "train",
    "videos",
)


class Mode(enum.Enum):
    """How a directory is trained in; the value is how people read it."""

    MANY_PROCESSES = "many processes"
    ONE_PROCESS = "one process"


_COMMANDS = {
    Mode.MANY_PROCESSES: "launch_training.sh",
    Mode.ONE_PROCESS: "sac-train",
}


@dataclasses.dataclass(frozen=True)
class Identity:
    """Whose a directory is.

    Attributes:
      mode: How it is trained in.
      layout: Version of its layout.
      has_checkpoint: Whether it ever had a complete checkpoint.
    """

    mode: Mode
    layout: int = LAYOUT
    has_checkpoint: bool = False


def check(experiment: Experiment, mode: Mode) -> Identity | None:
    """Checks that a directory is free, or belongs to this mode; writes nothing.

    Args:
      experiment: The experiment; its directory may be missing.
      mode: How it is to be trained in.

    Returns:
      Its identity; None for a directory that is missing, or in which nobody has
      trained.

    Raises:
      UserError: It belongs to the other mode, to another version, or to somebody else.
    """
    identity = _read(experiment)
    root = experiment.root
    if identity is None:
        return None
    if identity.layout > LAYOUT:
        raise UserError(
            f"{root} was written by a newer version of this package (layout "
            f"{identity.layout}, this one knows {LAYOUT}); use that version"
        )
    if identity.mode is not mode:
        raise UserError(
            f"{root} belongs to {_COMMANDS[identity.mode]} (training in "
            f"{identity.mode.value}); use that, or choose another directory"
        )
    return identity


def claim(experiment: Experiment, mode: Mode) -> None:
    """Makes a directory this mode's; call it with the run's lock held.

    Raises:
      UserError: As `check`.
    """
    identity = check(experiment, mode)
    if identity is None or not experiment.identity.exists():
        had_one = identity is not None and identity.has_checkpoint
        _write(experiment, Identity(mode, LAYOUT, had_one))


def note_checkpoint(experiment: Experiment) -> None:
    """Remembers that there is a complete checkpoint.

    Raises:
      OSError: The file cannot be written.
    """
    identity = _read(experiment)
    if identity is not None and not identity.has_checkpoint:
        _write(experiment, dataclasses.replace(identity, has_checkpoint=True))


def has_checkpoint(experiment: Experiment) -> bool:
    """Returns whether there ever was a complete checkpoint.

    Raises:
      UserError: The directory is somebody else's, or cannot be read.
    """
    identity = _read(experiment)
    return identity is not None and identity.has_checkpoint


def check_nothing_is_lost(experiment: Experiment) -> None:
    """Checks that a training without checkpoints never had one.

    Raises:
      UserError: It had one, which is gone.
    """
    if has_checkpoint(experiment):
        raise UserError(
            f"the checkpoints of {experiment.root} are gone; put a copy back, or begin "
            "again in another directory (or in this one, emptied)"
        )


def _write(experiment: Experiment, identity: Identity) -> None:
    fields = {**dataclasses.asdict(identity), "mode": identity.mode.value}
    write_json(experiment.identity, fields, durable=True)


def _read(experiment: Experiment) -> Identity | None:
    """Returns the identity of a directory; None if nobody has trained in it.

    Raises:
      UserError: The directory is somebody else's, or cannot be read.
    """
    path = experiment.identity
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except (FileNotFoundError, NotADirectoryError):
        return _recognize(experiment)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged: {error}; put a copy back") from error


def _recognize(experiment: Experiment) -> Identity | None:
    """Recognizes a directory of layout 1 by its files."""
    root = experiment.root
    try:
        names = {path.name for path in root.iterdir()}
    except (FileNotFoundError, NotADirectoryError):  # `Experiment.make` says so.
        return None
    except OSError as error:
        raise UserError(f"cannot read {root}: {error.strerror}") from error
    if {"kwargs.json", "run.json"} <= names:
        raise UserError(
            f"{root} has been written to by both sac-train and launch_training.sh; "
            "choose another directory"
        )
    if "kwargs.json" in names:
        return Identity(Mode.ONE_PROCESS, 1, any(root.glob("ckpt-*.json")))
    if names & {"run.json", "specs.pbtxt"}:
        checkpoints = experiment.checkpoints
        has_checkpoint = any(
            any(checkpoints.glob(pattern)) for pattern in ("generation_*", "damaged_*")
        )
        return Identity(Mode.MANY_PROCESSES, 1, has_checkpoint)
    if name := next((name for name in _WRITTEN_NAMES if name in names), None):
        raise UserError(
            f"{root} is no experiment directory of this package, and training would "
            f"write into the {name} there; choose another directory"
        )
    return None
