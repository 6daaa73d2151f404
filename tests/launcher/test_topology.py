"""The services of a run: their environment, their commands, and the printed plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfagents_system.launcher import topology
from tfagents_system.launcher.cpu_plan import CpuPlan, CpuRequest, plan_cpus


def test_services_have_their_environment_and_command() -> None:
    plan = plan_cpus(CpuRequest(1, 2, 2, 1), range(5))
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
    for service in services:
        assert service.environment["SAC_NUM_COLLECT_WORKERS"] == "2"
        assert service.environment["SAC_REVERB_PORT"] == "8000"
        # The last part of a command is the process's own; nothing is left to fill in.
        assert f"-m tfagents_system.processes {service.kind} " in service.command
        assert "$" not in service.command


@pytest.mark.parametrize(
    ("plan", "notes"),
    [
        (CpuPlan((0,), (1, 2), ((3,),), shared=False, num_free=0), []),
        (
            CpuPlan((0,), (1, 2), ((3,),), shared=False, num_free=4),
            [
                "  4 CPUs stay free; set SAC_NUM_COLLECT_WORKERS or SAC_TRAIN_CPUS to "
                "use them."
            ],
        ),
        (
            CpuPlan((0,), (0,), ((0,),), shared=True, num_free=0),
            ["  Processes share CPUs: there are fewer CPUs than processes."],
        ),
    ],
)
def test_the_plan_is_a_line_for_each_service(plan: CpuPlan, notes: list[str]) -> None:
    services = topology.make_services(plan, Path("/exp"), 8000, "/py")
    title, *lines = topology.format_plan(plan, services, 8).splitlines()
    assert title == "Plan for 8 CPUs:"
    assert lines[len(services) :] == notes
    columns = set()
    for service, line in zip(services, lines):
        assert line.startswith(f"  {service.name} ")
        assert f"  CPU {service.environment['SAC_CPUS']} " in line
        assert line.endswith(f"  {service.command}")
        columns.add(line.index("CPU"))
    assert len(columns) == 1
    assert topology.format_plan(plan, services, 1).startswith("Plan for 1 CPU:\n")


def test_loopback_is_kept_off_proxies_and_other_hosts_stay() -> None:
    variables = topology.without_proxy({"no_proxy": "host,localhost"})
    assert variables["no_proxy"] == "host,localhost,127.0.0.1,::1"
    assert "127.0.0.1" in variables["no_grpc_proxy"]
    assert set(variables) == {"no_proxy", "NO_PROXY", "no_grpc_proxy"}
