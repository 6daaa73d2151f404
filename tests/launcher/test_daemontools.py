"""Service directories, and daemontools at work on them."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import signal
from pathlib import Path

import pytest

from tests.launcher.conftest import (
    COUNT,
    SLEEP,
    StartServices,
    make_environment,
    write_script,
)
from tests.waiting import wait_for
from tfagents_system.errors import UserError
from tfagents_system.experiment import services
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.process_tree import environ
from tfagents_system.launcher import cpu_plan, daemontools, topology
from tfagents_system.launcher.topology import TEMPLATES, Service

LOG = TEMPLATES / "log" / "run"


def plan_services(root: Path, python: str = "/py") -> list[Service]:
    """Returns the services of a run with two workers, on one CPU."""
    cpus = cpu_plan.allowed_cpus()[:1]
    plan = cpu_plan.plan_cpus(cpu_plan.CpuRequest(num_collect_workers=2), cpus)
    return topology.make_services(plan, root, 8000, python)


def has_said(experiment: Experiment, name: str, num_lines: int) -> bool:
    """Returns whether so many lines are in a service's log."""
    return len(services.last_log_lines(experiment, name, num_lines)) == num_lines


def test_there_is_one_template_for_logs() -> None:
    assert [path for path in TEMPLATES.rglob("run") if path.parent.name == "log"] == [
        LOG
    ]
    kinds = {path.parent.name for path in TEMPLATES.glob("*/run")} - {"log"}
    planned = plan_services(Path("/exp"))
    assert (
        {service.kind for service in planned}
        == kinds
        == {
            services.REPLAY_SERVER,
            services.LEARNER,
            services.COLLECT_WORKER,
        }
    )


def test_every_service_is_written_from_its_template_with_a_log(
    experiment: Experiment,
) -> None:
    for service in plan_services(experiment.root):
        daemontools.write_service(experiment, service)
        folder = experiment.service(service.name)
        template = TEMPLATES / service.kind / "run"
        assert (folder / "run").read_text() == template.read_text()
        assert (folder / "log" / "run").read_text() == LOG.read_text()
        assert os.access(folder / "run", os.X_OK)
        assert os.access(folder / "log" / "run", os.X_OK)
        written = {path.name: path.read_text() for path in (folder / "env").iterdir()}
        assert written == {
            name: f"{value}\n" for name, value in service.environment.items()
        }


def test_a_service_that_is_written_again_keeps_its_log_and_counts(
    experiment: Experiment,
) -> None:
    learner = plan_services(experiment.root)[1]
    daemontools.write_service(experiment, learner)
    folder = experiment.service("learner")
    (folder / "num_starts").write_text("         2\n")
    (folder / "num_failures").write_text("         1\n")
    (folder / "env" / "SET_BY_AN_EARLIER_PLAN").write_text("1\n")
    (folder / "run").write_text("edited")
    experiment.service_log("learner").parent.mkdir()
    experiment.service_log("learner").write_text("its log\n")
    daemontools.write_service(experiment, learner)
    assert services.count_starts(experiment, "learner") == 2
    assert services.count_failures(experiment, "learner") == 1
    assert experiment.service_log("learner").read_text() == "its log\n"
    assert not (folder / "env" / "SET_BY_AN_EARLIER_PLAN").exists()
    assert (folder / "run").read_text() != "edited"


def test_services_of_an_earlier_plan_are_removed(experiment: Experiment) -> None:
    daemontools.remove_other_services(experiment, [])
    assert daemontools.service_folders(experiment) == []
    planned = plan_services(experiment.root)
    for service in planned:
        daemontools.write_service(experiment, service)
    (experiment.services / "a file").touch()
    (experiment.services / "no service").mkdir()
    names = [service.name for service in planned]
    folders = daemontools.service_folders(experiment)
    assert [folder.name for folder in folders] == sorted(names)
    daemontools.remove_other_services(experiment, names[:-1])
    left = sorted(path.name for path in experiment.services.iterdir())
    assert left == ["a file", *sorted(names[:-1])]


def test_daemontools_is_found_or_its_set_up_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_script(tmp_path / "bin" / "supervise", "exit 1")
    on_path = f"/nowhere:{tmp_path / 'bin'}"
    assert daemontools.daemontools_path({"PATH": on_path}) == on_path
    local = tmp_path / "local"
    monkeypatch.setattr(daemontools, "LOCAL_DAEMONTOOLS", local)
    with pytest.raises(UserError, match=re.escape("run scripts/setup.sh")):
        daemontools.daemontools_path({"PATH": "/nowhere"})
    write_script(local / "supervise", "exit 1")
    assert daemontools.daemontools_path({"PATH": "/nowhere"}) == f"/nowhere:{local}"


def test_processes_run_as_their_services_say(
    experiment: Experiment, lock: int, tmp_path: Path
) -> None:
    """Runs the real templates under svscan, with a script in Python's place."""
    experiment = Experiment(tmp_path / "an $(touch trap) `touch trap` \"exp'")
    python = tmp_path / "my python"
    write_script(
        python,
        'printf "%s|" "$@"; echo\n'
        'echo "on $(taskset -pc $$ | sed s/.*:.//), threads $OMP_NUM_THREADS"\n'
        "exec sleep 100",
    )
    planned = plan_services(experiment.root, str(python))
    for service in planned:
        daemontools.write_service(experiment, service)
    (tmp_path / "services").symlink_to(experiment.services)  # For `lock` to stop them.
    daemontools.start(experiment, make_environment(), lock)
    for service in planned:
        name = service.name
        wait_for(functools.partial(has_said, experiment, name, 2))
        said, cpus = services.last_log_lines(experiment, name, 2)
        worker = ["--worker", name[-1]] if services.is_worker(name) else []
        said, cpus = services.last_log_lines(experiment, name, 2)
        assert said.split("|")[:-1] == [
            "-m",
            "tfagents_system.processes",
            service.kind,
            "--exp_dir",
            str(experiment.root),
            *worker,
        ]
        assert cpus == f"on {service.cpus[0]}, threads 1"
        assert services.count_starts(experiment, name) == 1
        assert daemontools.pid_of(experiment, name)
    assert not list(tmp_path.rglob("trap"))


def test_a_process_that_ends_is_started_again(
    experiment: Experiment, start_services: StartServices
) -> None:
    start_services(learner=f"{COUNT}\n{SLEEP}")
    pid = daemontools.pid_of(experiment, "learner")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: services.count_starts(experiment, "learner") == 2)
    wait_for(lambda: daemontools.pid_of(experiment, "learner") not in (None, pid))


def test_services_are_told_to_go_down_and_waited_for(
    experiment: Experiment, start_services: StartServices
) -> None:
    start_services(learner=SLEEP, collect_worker_0=f"trap '' HUP\n{SLEEP}")
    folders = {f.name: f for f in daemontools.service_folders(experiment)}
    learner, worker = folders["learner"], folders["collect_worker_0"]
    assert not daemontools.wait_down(experiment, [learner], 0.0)
    # Without supervise there is nothing to be told.
    daemontools.tell_to_stop([*folders.values(), experiment.root / "no service"])
    daemontools.tell_to_stop([])
    assert daemontools.wait_down(experiment, [learner], 20.0)
    assert daemontools.pid_of(experiment, "learner") is None
    # The worker ignores the signal.
    assert not daemontools.wait_down(experiment, [learner, worker], 0.2)
    daemontools.svc("-k", [worker])
    assert daemontools.wait_down(experiment, [learner, worker], 20.0)


def test_what_is_not_supervised_has_no_pid(experiment: Experiment) -> None:
    assert daemontools.pid_of(experiment, "learner") is None
    write_script(experiment.service("learner") / "run", SLEEP)
    assert daemontools.pid_of(experiment, "learner") is None
    assert daemontools.wait_down(experiment, [experiment.service("learner")], 0.0)


@pytest.mark.parametrize("value", ["a ", "a\nb", " a", "a\0b"])
def test_a_value_that_envdir_would_change_is_refused(
    experiment: Experiment, value: str
) -> None:
    learner = dataclasses.replace(
        plan_services(experiment.root)[1], environment={"PYTHON": value}
    )
    with pytest.raises(UserError, match="PYTHON="):
        daemontools.write_service(experiment, learner)


def test_a_log_that_cannot_be_written_does_not_keep_svscan_from_running(
    experiment: Experiment, start_services: StartServices
) -> None:
    (experiment.root / "svscan.log").mkdir()
    start_services(learner=SLEEP)
    assert daemontools.pid_of(experiment, "learner")


def test_what_a_service_starts_knows_its_service(
    experiment: Experiment, start_services: StartServices
) -> None:
    start_services(learner=f"{COUNT}\nexec sleep 100")
    pid = daemontools.pid_of(experiment, "learner")
    assert pid is not None
    wait_for(lambda: environ(pid).get("SAC_SERVICE_PID") == str(pid))
    assert environ(pid)["SAC_RUN_ID"]
