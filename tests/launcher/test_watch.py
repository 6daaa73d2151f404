"""Watching a run: what the launcher shows of it, and when it is over."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.host.test_process_tree import is_dead
from tests.launcher.conftest import (
    COUNT,
    NAMES,
    SLEEP,
    fail,
    make_environment,
    start,
    write_script,
    write_status,
)
from tests.waiting import wait_for
from tfagents_system.errors import UserError
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.progress import read_progress
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.status_file import Phase
from tfagents_system.launcher import crash_limit, daemontools, watch
from tfagents_system.launcher.crash_limit import MAX_FAILURES_WITHOUT_PROGRESS
from tfagents_system.launcher.run_locks import RunLocks, exclusive_run
from tfagents_system.launcher.watch import Watch, have_workers_finished
from tfagents_system.launcher.wording import progress_line


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Returns an experiment whose processes have just made progress."""
    experiment = Experiment(tmp_path)
    for name in NAMES:
        write_status(experiment, name, progress_at=time.time())
    return experiment


def begin_watch(experiment: Experiment) -> Watch:
    """Watches a run from before its services are first started."""
    watch = Watch(experiment, NAMES)
    for name in NAMES:
        start(experiment, name)
    return watch


def test_one_failing_worker_is_given_up_though_the_others_get_further(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = begin_watch(experiment)
    for step in range(1, MAX_FAILURES_WITHOUT_PROGRESS + 1):
        watched.poll()
        write_status(experiment, "learner", train_step=step)
        write_status(experiment, "collect_worker_0", worker_env_steps=step)
        fail(experiment, "collect_worker_1")
    with pytest.raises(UserError, match="collect_worker_1 failed 5 times"):
        watched.poll()
    assert "the last words of collect_worker_1" in capsys.readouterr().out


def test_each_restart_is_shown_once(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = begin_watch(experiment)
    watched.poll()
    capsys.readouterr()
    start(experiment, "learner")
    watched.poll()
    watched.poll()
    log = experiment.service_log("learner")
    assert capsys.readouterr().out == (
        f"learner ended and was restarted (1 so far); its log: {log}\n"
    )


def test_no_progress_becomes_visible(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = begin_watch(experiment)
    watched.poll()
    assert "NO PROGRESS" not in progress_line(read_progress(experiment, NAMES), 0)
    for name in NAMES[:-1]:
        write_status(experiment, name, progress_at=time.time() - 420)
    experiment.status(NAMES[-1]).unlink()
    watched.poll()
    line = progress_line(read_progress(experiment, NAMES), 0)
    assert line.startswith("NO PROGRESS FOR 7 MIN | training | ")
    output = capsys.readouterr().out
    assert "error: no progress for 7 min; what each process is doing:" in output
    assert "learner: training; log: " in output
    assert "collect_worker_1: not started; log: " in output
    watched.poll()  # Not again a second later.
    assert "error: no progress" not in capsys.readouterr().out


def test_a_problem_that_training_survives_is_shown_until_it_is_over(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = begin_watch(experiment)
    write_status(experiment, "learner", problem="no checkpoint: disk full")
    watched.poll()
    assert "error: no checkpoint: disk full\n" in capsys.readouterr().out
    line = progress_line(read_progress(experiment, NAMES), 0)
    assert line.startswith("no checkpoint: disk full | ")
    write_status(experiment, "learner", problem="")
    watched.poll()
    assert "Saved again." in capsys.readouterr().out


def test_workers_have_finished_when_each_is_in_that_phase(
    experiment: Experiment,
) -> None:
    assert not have_workers_finished(experiment, NAMES)
    write_status(experiment, "collect_worker_0", Phase.FINISHED)
    assert not have_workers_finished(experiment, NAMES)
    write_status(experiment, "collect_worker_1", Phase.FINISHED)
    assert have_workers_finished(experiment, NAMES)


def test_only_the_phase_says_that_a_worker_has_finished(experiment: Experiment) -> None:
    """Not what people read: a failure text, or a field of an earlier version."""
    names = ["learner", "collect_worker_0"]
    for phase in set(Phase) - {Phase.FINISHED}:
        write_status(
            experiment,
            "collect_worker_0",
            phase,
            failure="finished",
            state="finished",
        )
        assert not have_workers_finished(experiment, names), phase
    write_status(
        experiment, "collect_worker_0", Phase.FINISHED, failure="RuntimeError: broken"
    )
    assert have_workers_finished(experiment, names)
    experiment.status("collect_worker_0").write_text('{"state": "finished"}')
    assert not have_workers_finished(experiment, names)
    experiment.status("collect_worker_0").unlink()
    assert not have_workers_finished(experiment, names)


def svscan_pids(experiment: Experiment) -> list[int]:
    """Returns the pids of the svscan processes of a run."""
    pids = []
    for pid in run_lock.holders(experiment.lock):
        with contextlib.suppress(FileNotFoundError):  # It has just ended.
            if Path(f"/proc/{pid}/comm").read_text() == "svscan\n":
                pids.append(pid)
    return pids


def watch_run(
    experiment: Experiment, names: list[str], locks: RunLocks, run_id: str = ""
) -> None:
    """Watches services as the launcher does, until training is complete."""
    run = RunProcesses(experiment)
    watch.watch_until_done(experiment, names, make_environment(run_id), locks, run)


def test_a_run_is_over_when_the_workers_have_evaluated_the_final_policy(
    experiment: Experiment, locks: RunLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECS", 0.05)
    worker = "collect_worker_0"
    write_script(experiment.service(worker) / "run", SLEEP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(watch_run, experiment, [worker], locks)
        wait_for(lambda: daemontools.pid_of(experiment, worker))
        # A svscan that is killed is started again; supervise does without it.
        pid = daemontools.pid_of(experiment, worker)
        (svscan,) = svscan_pids(experiment)
        os.kill(svscan, signal.SIGKILL)
        wait_for(lambda: svscan_pids(experiment) not in ([], [svscan]))
        assert daemontools.pid_of(experiment, worker) == pid
        experiment.mark_done(5)
        assert not run.done()
        write_status(experiment, worker, Phase.FINISHED)
        run.result(20)
    assert svscan_pids(experiment) == []
    # Stopping the services is for the caller.
    assert daemontools.pid_of(experiment, worker) == pid


def test_a_run_ends_when_a_service_keeps_failing(
    experiment: Experiment, locks: RunLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECS", 0.05)
    write_script(
        experiment.service("learner") / "run",
        f"{COUNT}\nprintf '%10d\\n' \"$starts\" 1<>num_failures\nexit 1",
    )
    with pytest.raises(UserError, match="learner failed 5 times without progress"):
        watch_run(experiment, ["learner"], locks)
    assert svscan_pids(experiment) == []


def test_workers_that_take_too_long_to_finish_are_not_waited_for(
    experiment: Experiment, locks: RunLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECS", 0.05)
    monkeypatch.setattr(watch, "FINAL_EVALUATION_SECS", 0.2)
    write_script(experiment.service("collect_worker_0") / "run", SLEEP)
    experiment.mark_done(5)
    watch_run(experiment, ["collect_worker_0"], locks)
    assert not have_workers_finished(experiment, ["collect_worker_0"])


def test_a_stopped_svscan_ends_too(
    experiment: Experiment, locks: RunLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECS", 0.05)
    write_script(experiment.service("collect_worker_0") / "run", SLEEP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(watch_run, experiment, ["collect_worker_0"], locks)
        wait_for(lambda: daemontools.pid_of(experiment, "collect_worker_0"))
        (svscan,) = svscan_pids(experiment)
        os.kill(svscan, signal.SIGSTOP)
        experiment.mark_done(5)
        write_status(experiment, "collect_worker_0", Phase.FINISHED)
        run.result(20)
    assert svscan_pids(experiment) == []


def test_simulators_of_a_service_do_not_pile_up_over_its_restarts(
    experiment: Experiment, locks: RunLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECS", 0.05)
    worker = "collect_worker_0"
    folder = experiment.service(worker)
    simulator = "setsid sh -c 'trap : TERM; echo $$ >>simulators; sleep 100' &"
    write_script(folder / "run", f"{COUNT}\n{simulator}\nsleep 1; exit 1")
    monkeypatch.setattr(crash_limit, "MAX_RESTARTS_WITHOUT_PROGRESS", 3)
    with pytest.raises(UserError, match="ended 3 times without progress"):
        watch_run(experiment, [worker], locks)
    pids = [int(pid) for pid in (folder / "simulators").read_text().split()]
    assert len(pids) >= 3
    assert all(map(is_dead, pids[:2]))


def test_a_run_ends_where_its_directory_was_moved(
    run_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "POLL_SECS", 0.05)
    experiment = Experiment(tmp_path / "inside")
    worker = "collect_worker_0"
    experiment.make()
    write_script(experiment.service(worker) / "run", SLEEP)
    run = RunProcesses(experiment, run_id=run_id)
    with exclusive_run(experiment) as locks:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            names = [worker]
            end = pool.submit(
                watch.watch_until_done,
                experiment,
                names,
                make_environment(run_id),
                locks,
                run,
            )
            wait_for(lambda: daemontools.pid_of(experiment, names[0]))
            experiment.root.rename(tmp_path / "moved")
            with pytest.raises(UserError, match="was moved or deleted"):
                end.result(20)
        run.kill()
    assert run.pids() == set()
    assert not experiment.root.exists()
