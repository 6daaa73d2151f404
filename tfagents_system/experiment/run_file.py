"""run.json: what the launcher decided for the current run, for its processes."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tfagents_system.errors import UserError
from tfagents_system.experiment import services
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.files import write_bytes


@dataclasses.dataclass(frozen=True)
class RunService:
    """One service of the run.

    Attributes:
      name: Name of the service.
      cpus: Ids of its CPUs.
      starts_before: How often it had been started before this run.
    """

    name: str
    cpus: tuple[int, ...]
    starts_before: int


@dataclasses.dataclass(frozen=True)
class Run:
    """The current run of an experiment.

    Attributes:
      reverb_port: TCP port of the replay server.
      params_folder: Folder that the params file was copied from.
      services: Its services, in the order in which they are shown.
      run_id: Of this launch alone: what another run left or sent does not have it.
      reverb_host: Host of the replay server, for these services.
      public_host: The same for the workers of other machines; empty: there are none.
      host: The machine that the services run on.
    """

    reverb_port: int
    params_folder: str
    services: tuple[RunService, ...]
    run_id: str = ""
    reverb_host: str = "localhost"
    public_host: str = ""
    host: str = ""

    @classmethod
    def load(cls, experiment: Experiment) -> Run:
        """Reads it from the experiment directory.

        Raises:
          UserError: It is missing or damaged.
        """
        path = experiment.run
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged: {error}") from error

    def save(self, experiment: Experiment) -> None:
        """Writes it to the experiment directory."""
        contents = msgspec.json.format(msgspec.json.encode(self))
        write_bytes(experiment.run, contents + b"\n")

    @property
    def is_elsewhere(self) -> bool:
        """Whether the services run on another machine than this process."""
        return self.host not in ("", socket.gethostname())

    @property
    def names(self) -> list[str]:
        """The names of its services."""
        return [service.name for service in self.services]

    @property
    def starts_before(self) -> dict[str, int]:
        """How often each service had been started before this run."""
        return {service.name: service.starts_before for service in self.services}


def params_folder(experiment: Experiment) -> Path | None:
    """Returns the folder that the params file was copied from; None before a run."""
    return Path(Run.load(experiment).params_folder) if experiment.run.exists() else None


def num_restarts(
    starts_before: Mapping[str, int], experiment: Experiment, name: str
) -> int:
    """Returns how often a service was restarted in a run.

    Args:
      starts_before: How often each had been started before the run.
      experiment: The experiment.
      name: The service.
    """
    starts = services.count_starts(experiment, name)
    return max(0, starts - starts_before.get(name, 0) - 1)
