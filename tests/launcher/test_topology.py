"""CPU plans and the environment of each service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.errors import UserError
from tfagents_system.launcher import topology
from tfagents_system.launcher.topology import CpuPlan, CpuRequest


def all_cpus(plan: CpuPlan) -> list[int]:
    """Returns the CPU ids of every process, one after the other."""
    return [
        cpu
        for cpus in (plan.replay_server, plan.learner, *plan.workers)
        for cpu in cpus
    ]


def test_cpu_list_of_the_kernel(tmp_path: Path) -> None:
    assert topology.parse_cpu_list("0-2,8,10-11") == [0, 1, 2, 8, 10, 11]
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t4-6\n")
    assert topology.allowed_cpus(status) == [4, 5, 6]
    assert topology.allowed_cpus()


def test_explicit_numbers_are_met_exactly_with_the_ids_at_hand() -> None:
    plan = topology.plan_cpus(CpuRequest(2, 3, 2, 2), range(10, 20))
    assert plan.replay_server == (10, 11)
    assert plan.learner == (12, 13, 14)
    assert plan.workers == ((15, 16), (17, 18))
    assert plan.num_free == 1
    assert not plan.shared


def test_too_few_cpus_for_explicit_numbers_is_an_error() -> None:
    with pytest.raises(UserError, match=r"need 12 CPUs .* only 8 available"):
        topology.plan_cpus(CpuRequest(4, 4, 4, 1), range(8))


@pytest.mark.parametrize("num_cpus", [3, 4, 8, 16, 64])
def test_auto_plan_shares_nothing_when_it_need_not(num_cpus: int) -> None:
    plan = topology.plan_cpus(CpuRequest(), range(num_cpus))
    cpus = all_cpus(plan)
    assert len(cpus) == len(set(cpus)) == num_cpus - plan.num_free
    assert not plan.shared
    assert len(plan.workers) <= topology.MAX_AUTO_WORKERS


def test_auto_plan_on_two_cpus_gives_the_learner_both() -> None:
    plan = topology.plan_cpus(CpuRequest(), [3, 7])
    assert plan == CpuPlan((3, 7), (3, 7), ((3,),), shared=True, num_free=0)


@pytest.mark.parametrize(
    ("num_cpus", "train", "workers"), [(3, 1, 1), (4, 2, 1), (8, 4, 3), (16, 4, 11)]
)
def test_auto_plan_balances_learner_and_workers(
    num_cpus: int, train: int, workers: int
) -> None:
    plan = topology.plan_cpus(CpuRequest(), range(num_cpus))
    assert (len(plan.learner), len(plan.workers)) == (train, workers)
    assert len(plan.replay_server) == 1


def test_auto_plan_on_one_cpu_shares_it() -> None:
    plan = topology.plan_cpus(CpuRequest(), [5])
    assert plan == CpuPlan((5,), (5,), ((5,),), shared=True, num_free=0)


def test_explicit_workers_share_only_where_their_cpus_are_auto() -> None:
    plan = topology.plan_cpus(CpuRequest(num_collect_workers=4), [0, 1])
    assert plan.workers == ((0,), (1,), (0,), (1,))
    assert plan.learner == (0, 1)
    with pytest.raises(UserError, match="only 2 available"):
        topology.plan_cpus(
            CpuRequest(num_collect_workers=4, collect_worker_cpus=1), [0, 1]
        )


def test_explicit_processes_keep_their_cpus_when_others_share() -> None:
    plan = topology.plan_cpus(CpuRequest(train_cpus=2), [0, 1, 2])
    assert plan.learner == (0, 1)
    assert plan.replay_server == plan.workers[0] == (2,)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_bad_number_names_its_variable(text: str) -> None:
    with pytest.raises(UserError, match="SAC_TRAIN_CPUS"):
        topology.read_cpu_request({"SAC_TRAIN_CPUS": text})


def test_exp_dir_follows_the_variables() -> None:
    logs = REPOSITORY / "logs"
    assert topology.read_exp_dir({"SAC_EXP_NAME": "a b"}) == logs / "a b"
    task = {"SAC_EXP_NAME": "x", "SLURM_ARRAY_TASK_ID": "3"}
    assert topology.read_exp_dir(task) == logs / "x_task_3"
    with pytest.raises(UserError, match="SAC_EXP_NAME"):
        topology.read_exp_dir({})


def test_services_have_their_environment_and_command() -> None:
    plan = topology.plan_cpus(CpuRequest(1, 2, 2, 1), range(5))
    services = topology.make_services(plan, Path("/x y"), 8000, "/py")
    by_name = {service.name: service for service in services}
    assert list(by_name) == [
        "replay_server",
        "learner",
        "collect_worker_0",
        "collect_worker_1",
    ]
    learner = by_name["learner"].environment
    assert learner["SAC_CPUS"] == "1,2"
    assert learner["OMP_NUM_THREADS"] == "2"
    assert by_name["collect_worker_1"].environment["SLURM_PROCID"] == "1"
    command = by_name["collect_worker_1"].command
    assert 'taskset -c "4" "/py" -m tfagents_system' in command
    assert '--exp_dir "/x y" --worker "1"' in command


def test_loopback_is_kept_off_proxies_and_other_hosts_stay() -> None:
    variables = topology.loopback_without_proxy({"no_proxy": "host,localhost"})
    assert variables["no_proxy"] == "host,localhost,127.0.0.1,::1"
    assert "127.0.0.1" in variables["no_grpc_proxy"]
