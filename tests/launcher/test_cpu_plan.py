"""Which CPUs each process of a run gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfagents_system.errors import UserError
from tfagents_system.launcher import cpu_plan
from tfagents_system.launcher.cpu_plan import CpuPlan, CpuRequest, plan_cpus


def all_cpus(plan: CpuPlan) -> list[int]:
    """Returns the CPU ids of every process, one after the other."""
    return [
        cpu
        for cpus in (plan.replay_server, plan.learner, *plan.workers)
        for cpu in cpus
    ]


def test_cpu_list_of_the_kernel(tmp_path: Path) -> None:
    assert cpu_plan.parse_cpu_list("0-2,8,10-11") == [0, 1, 2, 8, 10, 11]
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t4-6\n")
    assert cpu_plan.allowed_cpus(status) == [4, 5, 6]
    assert cpu_plan.allowed_cpus()


def test_where_the_kernel_says_no_cpus_it_is_one_line(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\n")
    with pytest.raises(UserError, match=r"no Cpus_allowed_list in .* needs Linux"):
        cpu_plan.allowed_cpus(status)


def test_explicit_numbers_are_met_exactly_with_the_ids_at_hand() -> None:
    plan = plan_cpus(CpuRequest(2, 3, 2, 2), range(10, 20))
    assert plan.replay_server == (10, 11)
    assert plan.learner == (12, 13, 14)
    assert plan.workers == ((15, 16), (17, 18))
    assert plan.num_free == 1
    assert not plan.shared


def test_too_few_cpus_for_explicit_numbers_is_an_error() -> None:
    with pytest.raises(UserError, match=r"need 12 CPUs .* only 8 available"):
        plan_cpus(CpuRequest(4, 4, 4, 1), range(8))


@pytest.mark.parametrize("num_cpus", [3, 4, 8, 16, 64])
def test_auto_plan_shares_nothing_when_it_need_not(num_cpus: int) -> None:
    plan = plan_cpus(CpuRequest(), range(num_cpus))
    cpus = all_cpus(plan)
    assert len(cpus) == len(set(cpus)) == num_cpus - plan.num_free
    assert not plan.shared
    assert len(plan.workers) <= cpu_plan.MAX_AUTO_WORKERS


def test_auto_plan_on_two_cpus_gives_the_learner_both() -> None:
    plan = plan_cpus(CpuRequest(), [3, 7])
    assert plan == CpuPlan((3, 7), (3, 7), ((3,),), shared=True, num_free=0)


@pytest.mark.parametrize(
    ("num_cpus", "train", "workers"), [(3, 1, 1), (4, 2, 1), (8, 4, 3), (16, 4, 11)]
)
def test_auto_plan_balances_learner_and_workers(
    num_cpus: int, train: int, workers: int
) -> None:
    plan = plan_cpus(CpuRequest(), range(num_cpus))
    assert (len(plan.learner), len(plan.workers)) == (train, workers)
    assert len(plan.replay_server) == 1


def test_auto_plan_on_one_cpu_shares_it() -> None:
    plan = plan_cpus(CpuRequest(), [5])
    assert plan == CpuPlan((5,), (5,), ((5,),), shared=True, num_free=0)


def test_explicit_workers_share_only_where_their_cpus_are_auto() -> None:
    plan = plan_cpus(CpuRequest(num_collect_workers=4), [0, 1])
    assert plan.workers == ((0,), (1,), (0,), (1,))
    assert plan.learner == (0, 1)
    with pytest.raises(UserError, match="only 2 available"):
        plan_cpus(CpuRequest(num_collect_workers=4, collect_worker_cpus=1), [0, 1])


def test_explicit_processes_keep_their_cpus_when_others_share() -> None:
    plan = plan_cpus(CpuRequest(train_cpus=2), [0, 1, 2])
    assert plan.learner == (0, 1)
    assert plan.replay_server == plan.workers[0] == (2,)
