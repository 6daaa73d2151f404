"""Which CPUs each process of a run gets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from tfagents_system.errors import UserError

# More workers than this rarely pay: the rate limiter holds them to the learner's
# pace, and each costs about half a gigabyte. Explicit numbers may exceed it.
MAX_AUTO_WORKERS = 16
# A batch of 256 in 8 shards costs half as much again as in one (docs/benchmarks.md).
MAX_AUTO_TRAIN_CPUS = 4

# In a job, beyond those of the services: for the launcher, supervision and logs (the
# archived system's rule).
LAUNCHER_CPUS = 2


@dataclasses.dataclass(frozen=True)
class CpuRequest:
    """The CPU numbers of a variables file; None where it says `auto`.

    Attributes:
      reverb_cpus: SAC_REVERB_CPUS.
      train_cpus: SAC_TRAIN_CPUS.
      num_collect_workers: SAC_NUM_COLLECT_WORKERS.
      collect_worker_cpus: SAC_COLLECT_WORKER_CPUS, of each worker.
    """

    reverb_cpus: int | None = None
    train_cpus: int | None = None
    num_collect_workers: int | None = None
    collect_worker_cpus: int | None = None


@dataclasses.dataclass(frozen=True)
class CpuPlan:
    """The CPU ids of each process.

    Attributes:
      replay_server: Ids of the replay server; empty where only workers run.
      learner: Ids of the learner; the same.
      workers: Ids of each collect worker; the index is the worker's number.
      shared: Whether any CPU serves more than one process.
      num_free: CPUs that no process uses.
    """

    replay_server: tuple[int, ...]
    learner: tuple[int, ...]
    workers: tuple[tuple[int, ...], ...]
    shared: bool
    num_free: int


def parse_cpu_list(text: str) -> list[int]:
    """Parses the kernel's CPU list format, e.g. `0-2,8` to [0, 1, 2, 8]."""
    ids: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        ids.extend(range(int(first), int(last or first) + 1))
    return ids


def allowed_cpus(status: Path = Path("/proc/self/status")) -> list[int]:
    """Returns the ids of the CPUs that this process may use (SLURM sets them)."""
    match = re.search(r"^Cpus_allowed_list:\s*(\S+)$", status.read_text(), re.M)
    if match is None:
        raise UserError(f"no Cpus_allowed_list in {status}; training needs Linux")
    return parse_cpu_list(match.group(1))


def explicit_cpus(request: CpuRequest) -> int | None:
    """Returns how many CPUs the services ask for; None where a number is `auto`."""
    numbers = dataclasses.astuple(request)
    if None in numbers:
        return None
    reverb, train, workers, per_worker = numbers
    return int(reverb + train + workers * per_worker)


def _auto_train_cpus(num_cpus: int) -> int:
    """Half the CPUs, up to what pays: a worker outpaces the learner in most cases."""
    return max(1, min(MAX_AUTO_TRAIN_CPUS, num_cpus // 2))


def plan_cpus(request: CpuRequest, cpu_ids: Sequence[int]) -> CpuPlan:
    """Gives each process its CPUs.

    Explicit numbers are met exactly, with CPUs of their own, or refused. What is
    `auto` is planned for the machine: every process has CPUs of its own where there
    are enough; otherwise the `auto` processes share what the explicit ones leave.

    Args:
      request: The numbers asked for.
      cpu_ids: Ids of the CPUs at hand.

    Returns:
      The plan.

    Raises:
      UserError: The explicit numbers need more CPUs than there are.
    """
    num_cpus = len(cpu_ids)
    reverb = request.reverb_cpus or 1
    train = request.train_cpus or _auto_train_cpus(num_cpus)
    per_worker = request.collect_worker_cpus or 1
    left = num_cpus - reverb - train
    workers = request.num_collect_workers or max(
        1, min(MAX_AUTO_WORKERS, left // per_worker)
    )
    if request.train_cpus is None:
        # An explicit number of workers comes before a wide learner.
        train = max(1, min(train, num_cpus - reverb - workers * per_worker))
    needed = reverb + train + workers * per_worker
    if needed <= num_cpus:
        return _exclusive_plan(reverb, train, workers, per_worker, cpu_ids)

    explicit_worker = request.collect_worker_cpus is not None
    explicit = (
        (request.reverb_cpus or 0)
        + (request.train_cpus or 0)
        + (workers * per_worker if explicit_worker else 0)
    )
    has_auto = None in (request.reverb_cpus, request.train_cpus) or not explicit_worker
    if explicit + has_auto > num_cpus:
        raise UserError(
            f"need {needed} CPUs (SAC_REVERB_CPUS {reverb} + SAC_TRAIN_CPUS {train} + "
            f"SAC_NUM_COLLECT_WORKERS {workers} * SAC_COLLECT_WORKER_CPUS "
            f"{per_worker}), only {num_cpus} available; lower the numbers or set them "
            f"to auto, or in SLURM ask for --cpus-per-task={needed + LAUNCHER_CPUS}"
        )
    return _sharing_plan(request, workers, cpu_ids)


def plan_workers(request: CpuRequest, cpu_ids: Sequence[int]) -> CpuPlan:
    """Gives workers alone their CPUs, on a machine that only has workers.

    Args:
      request: The numbers asked for; those of replay server and learner do not count.
      cpu_ids: Ids of the CPUs at hand.

    Returns:
      The plan.

    Raises:
      UserError: The explicit numbers need more CPUs than there are.
    """
    num_cpus, per_worker = len(cpu_ids), request.collect_worker_cpus or 1
    workers = request.num_collect_workers or max(
        1, min(MAX_AUTO_WORKERS, num_cpus // per_worker)
    )
    needed = workers * per_worker
    if needed <= num_cpus:
        return _exclusive_plan(0, 0, workers, per_worker, cpu_ids)
    if request.collect_worker_cpus is not None:
        raise UserError(
            f"need {needed} CPUs (SAC_NUM_COLLECT_WORKERS {workers} * "
            f"SAC_COLLECT_WORKER_CPUS {per_worker}), only {num_cpus} available; lower "
            "the numbers or set them to auto"
        )
    return CpuPlan(
        replay_server=(),
        learner=(),
        workers=tuple((cpu_ids[index % num_cpus],) for index in range(workers)),
        shared=True,
        num_free=0,
    )


def _exclusive_plan(
    reverb: int, train: int, workers: int, per_worker: int, cpu_ids: Sequence[int]
) -> CpuPlan:
    ids = list(cpu_ids)
    worker_ids = ids[reverb + train :]
    return CpuPlan(
        replay_server=tuple(ids[:reverb]),
        learner=tuple(ids[reverb : reverb + train]),
        workers=tuple(
            tuple(worker_ids[index * per_worker : (index + 1) * per_worker])
            for index in range(workers)
        ),
        shared=False,
        num_free=len(worker_ids) - workers * per_worker,
    )


def _sharing_plan(request: CpuRequest, workers: int, cpu_ids: Sequence[int]) -> CpuPlan:
    pool = list(cpu_ids)

    def take(count: int) -> tuple[int, ...]:
        taken = tuple(pool[:count])
        del pool[:count]
        return taken

    replay_server = take(request.reverb_cpus or 0)
    learner = take(request.train_cpus or 0)
    own = [take(request.collect_worker_cpus or 0) for _ in range(workers)]
    # The scheduler divides the CPUs better than a plan would: the share of each process
    # depends on the environment. On 2 CPUs a learner on both is 1.4 times as fast as on
    # its own one with a fast environment, and no slower with a slow one. A worker has
    # one thread; one that moves between CPUs is slower (docs/benchmarks.md).
    replay_server = replay_server or tuple(pool)
    learner = learner or tuple(pool[-MAX_AUTO_TRAIN_CPUS:])
    return CpuPlan(
        replay_server=replay_server,
        learner=learner,
        workers=tuple(
            ids or (pool[index % len(pool)],) for index, ids in enumerate(own)
        ),
        shared=True,
        num_free=0,
    )
