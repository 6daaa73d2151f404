"""Which services a run has, with which environment and command: what the shell asks."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfagents_system.experiment.directory import REPOSITORY
from tfagents_system.experiment.services import (
    COLLECT_WORKER,
    LEARNER,
    REPLAY_SERVER,
    worker_name,
)
from tfagents_system.launcher.cpu_plan import CpuPlan

TEMPLATES = REPOSITORY / "supervise"


@dataclasses.dataclass(frozen=True)
class Service:
    """One supervised process.

    Attributes:
      name: Unique in the run, e.g. `collect_worker_3`.
      kind: Folder of its template in `supervise/`.
      cpus: Ids of the CPUs it is pinned to.
      environment: What the run sets in its environment, on top of the user's.
    """

    name: str
    kind: str
    cpus: tuple[int, ...]
    environment: Mapping[str, str]

    @property
    def command(self) -> str:
        """The command of its `run` template with the values filled in."""
        last_line = (TEMPLATES / self.kind / "run").read_text().rstrip().split("\n")[-1]
        quoted = last_line[last_line.index("'") + 1 : last_line.rindex("'")]
        command = string.Template(quoted).safe_substitute(self.environment)
        return command.removeprefix("exec ")


def make_services(
    plan: CpuPlan, exp_dir: Path, port: int, python: str, first_worker: int = 0
) -> list[Service]:
    """Lists the processes of a run, in the order in which they are shown.

    Args:
      plan: The CPUs of each.
      exp_dir: The experiment directory, absolute.
      port: TCP port of the replay server.
      python: Path of the interpreter that runs them.
      first_worker: Number of the first collect worker.

    Returns:
      Replay server and learner, where the plan has them, then the collect workers.
    """

    def make(
        kind: str, name: str, cpus: tuple[int, ...], extra: Mapping[str, str]
    ) -> Service:
        environment = {
            "PYTHON": python,
            "SAC_EXP_DIR": str(exp_dir),
            "SAC_REVERB_PORT": str(port),
            "SAC_NUM_COLLECT_WORKERS": str(len(plan.workers)),
            "SAC_CPUS": ",".join(str(cpu) for cpu in cpus),
            "OMP_NUM_THREADS": str(len(cpus)),
            # NumPy's products in a worker are too small for more than one thread.
            "OPENBLAS_NUM_THREADS": "1",
            **extra,
        }
        return Service(name, kind, cpus, environment)

    services = []
    if plan.learner:
        # Reverb sorts its checkpoints by local time: a DST change must not reorder.
        server = make(REPLAY_SERVER, REPLAY_SERVER, plan.replay_server, {"TZ": "UTC"})
        services += [server, make(LEARNER, LEARNER, plan.learner, {})]
    for worker, cpus in enumerate(plan.workers, first_worker):
        name = worker_name(worker)
        services.append(make(COLLECT_WORKER, name, cpus, {"SLURM_PROCID": str(worker)}))
    return services


def format_plan(plan: CpuPlan, services: Sequence[Service], num_cpus: int) -> str:
    """Formats the plan for people: one line a service, and what is special."""
    width = max(len(service.name) for service in services)
    lines = [f"Plan for {num_cpus} CPU{'s' if num_cpus > 1 else ''}:"]
    for service in services:
        cpus = service.environment["SAC_CPUS"]
        lines.append(f"  {service.name:<{width}}  CPU {cpus:<6}  {service.command}")
    if plan.shared:
        lines.append("  Processes share CPUs: there are fewer CPUs than processes.")
    if plan.num_free:
        lines.append(
            f"  {plan.num_free} CPUs stay free; set SAC_NUM_COLLECT_WORKERS or "
            "SAC_TRAIN_CPUS to use them."
        )
    return "\n".join(lines)


def without_proxy(
    environment: Mapping[str, str], reverb_host: str = "localhost"
) -> dict[str, str]:
    """Returns the variables that keep gRPC off a proxy within a run.

    gRPC sends even localhost to http_proxy, https_proxy or grpc_proxy, and then
    waits forever without a word.

    Args:
      environment: The user's.
      reverb_host: Host of the replay server, which is as near.
    """
    hosts = ["localhost", "127.0.0.1", "::1"]
    if reverb_host not in hosts:
        hosts.append(reverb_host)
    variables = {}
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        given = [host for host in environment.get(name, "").split(",") if host]
        variables[name] = ",".join([*given, *(h for h in hosts if h not in given)])
    return variables
