"""What is made before services start: run.json, their directories and environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence

from tfagents_system.experiment import run_file, services, status_writer
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.launcher import daemontools, topology


def write_run(
    experiment: Experiment,
    planned: Sequence[topology.Service],
    *,
    reverb_port: int,
    params_folder: str,
    run_id: str,
    reverb_host: str = "localhost",
    public_host: str = "",
) -> None:
    """Writes what the processes must know, and their service directories.

    Args:
      experiment: The experiment.
      planned: Its services.
      reverb_port: As the other arguments, of `run_file.Run`.
      params_folder: See there.
      run_id: See there.
      reverb_host: See there.
      public_host: See there.
    """
    run = run_file.Run(
        reverb_port=reverb_port,
        params_folder=params_folder,
        services=tuple(
            run_file.RunService(
                name=service.name,
                cpus=service.cpus,
                starts_before=services.count_starts(experiment, service.name),
            )
            for service in planned
        ),
        run_id=run_id,
        reverb_host=reverb_host,
        public_host=public_host,
        host=socket.gethostname(),
    )
    run.save(experiment)
    daemontools.remove_other_services(experiment, run.names)
    for service in planned:
        daemontools.write_service(experiment, service)
        status_writer.forget(experiment, service.name)


def make_environment(
    environment: Mapping[str, str],
    experiment: Experiment,
    run_id: str,
    reverb_host: str = "localhost",
) -> dict[str, str]:
    """Returns the environment of all processes.

    Args:
      environment: The user's.
      experiment: The experiment.
      run_id: The id by which the run's processes are found.
      reverb_host: Host of the replay server.

    Raises:
      UserError: daemontools is not installed.
    """
    # The services run in their own folders; they must find this very package.
    python_path = [str(REPOSITORY), environment.get("PYTHONPATH", "")]
    return {
        **environment,
        **topology.without_proxy(environment, reverb_host),
        "PATH": daemontools.daemontools_path(environment),
        "PYTHONPATH": os.pathsep.join(filter(None, python_path)),
        "SAC_EXP_DIR": str(experiment.root),
        "SAC_RUN_ID": run_id,
    }
