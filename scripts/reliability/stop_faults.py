"""Faults of stopping: stopped processes, signals, and moments that are unfavourable."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from typing import Callable

from fault import Fault, Scene, goes_on, send, stop_in_time
from limited_waiting import Violation, pause, wait_for
from trainings import START_SECS, ManyProcesses, OneProcess, Training

_DETACH_DELAYS_SECS = (0.5, 1.0, 2.0)
# Until something that should not have been started would be seen.
_LATER_SECS = 30.0


def _paused_then_stopped(
    scene: Scene, find: Callable[[ManyProcesses], list[int]], by: int | None
) -> str:
    """Stops processes (SIGSTOP) and then the training, which must not hang."""
    training = scene.train(ManyProcesses)
    pids = find(training)
    scene.expect(bool(pids), "found no such process")
    send(signal.SIGSTOP, *pids)
    pause(2)
    return stop_in_time(training, by)


def _paused_and_continued(scene: Scene, kind: type[Training]) -> str:
    """Stops everything for a while, as a closed laptop does."""
    training = scene.train(kind)
    pids = [process.pid for process in scene.traces.processes()]
    send(signal.SIGSTOP, *pids)
    pause(20)
    send(signal.SIGCONT, *pids)
    return goes_on(training)


def _find_service(training: ManyProcesses, name: str) -> list[int]:
    return [training.service(name).pid]


def _find_supervise(training: ManyProcesses) -> list[int]:
    return [training.service("learner").ppid()]


def _find_launcher(training: ManyProcesses) -> list[int]:
    assert training.process is not None
    return [training.process.pid]


def _find_program(training: ManyProcesses, name: str) -> list[int]:
    return [process.pid for process in training.traces.find(name)]


def _detached_then_interrupted(scene: Scene) -> str:
    """Ctrl-C soon after --detach: either it was too late, or nothing starts."""
    happened = []
    for delay_secs in _DETACH_DELAYS_SECS:
        training = scene.make(ManyProcesses)
        training.start("--detach")
        pause(delay_secs)
        os.killpg(training.process.pid, signal.SIGINT)
        code = training.wait_end().code
        happened.append(f"exit code {code} after {delay_secs} s")
        if code == 0:
            training.stop()
            wait_for(lambda: not scene.traces.processes(), "end of all", 30)
        deadline = time.monotonic() + _LATER_SECS
        while time.monotonic() < deadline:
            if scene.traces.services():
                raise Violation(f"{happened[-1]}, yet it trains")
            pause(1)
    return "; ".join(happened)


def _stopped_during_prepare(scene: Scene, by: int | None) -> str:
    training = scene.make(ManyProcesses, "slow constructor")
    training.start()

    def is_preparing() -> bool:
        processes = scene.traces.processes()
        return any("prepare" in process.cmdline() for process in processes)

    wait_for(is_preparing, "prepare", START_SECS)
    return stop_in_time(training, by)


def _stopped_without(scene: Scene, name: str) -> str:
    """Deletes a file of the run, then stops."""
    training = scene.train(ManyProcesses)
    (training.root / name).unlink()
    return stop_in_time(training)


def _signalled(scene: Scene, kind: type[Training], signum: signal.Signals) -> str:
    training = scene.train(kind)
    return stop_in_time(training, signum)


def _watched_lock(scene: Scene) -> str:
    """Somebody looks at the lock file while the training is stopped."""
    training = scene.train(ManyProcesses)
    # It has nothing to do with the training, so it does not get its token.
    reader = subprocess.Popen(
        ["tail", "-f", training.root / "run.lock"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        happened = stop_in_time(training)
        scene.expect(reader.poll() is None, "the reader of the lock was killed")
    finally:
        reader.kill()
        reader.wait()
    return happened


def _killed_svscan(scene: Scene) -> str:
    training = scene.train(ManyProcesses)
    old = _find_program(training, "svscan")
    send(signal.SIGKILL, *old)

    def is_back() -> bool:
        return bool(set(_find_program(training, "svscan")) - set(old))

    wait_for(is_back, "new svscan", 60)
    return f"a new one; {goes_on(training)}"


def _killed_launcher(scene: Scene) -> str:
    training = scene.train(ManyProcesses)
    training.interrupt(signal.SIGKILL)
    training.wait_end()
    training.start_training()
    return f"the next launch resumes; {stop_in_time(training)}"


def _interrupted_set_up(scene: Scene) -> str:
    """Ctrl-C while sac-train imports and builds."""
    happened = []
    for delay_secs in (1.0, 4.0):
        training = scene.make(OneProcess)
        training.start()
        pause(delay_secs)
        training.interrupt()
        happened.append(training.wait_end().expect(130))
    return "; ".join(happened)


_PAUSED: tuple[tuple[str, Callable[[ManyProcesses], list[int]]], ...] = (
    *(
        (name, functools.partial(_find_service, name=name))
        for name in ("replay_server", "learner", "collect_worker_0")
    ),
    ("supervise", _find_supervise),
    ("launcher", _find_launcher),
    ("svscan", functools.partial(_find_program, name="svscan")),
    ("multilog", functools.partial(_find_program, name="multilog")),
)
FAULTS = [
    *(
        Fault(
            f"paused_{name}",
            f"SIGSTOP of {name}, then "
            + ("Ctrl-C" if name == "svscan" else "stop_training.sh"),
            functools.partial(
                _paused_then_stopped,
                find=find,
                by=signal.SIGINT if name == "svscan" else None,
            ),
        )
        for name, find in _PAUSED
    ),
    Fault(
        "suspended_many",
        "all processes stopped for 20 s (launch_training.sh)",
        functools.partial(_paused_and_continued, kind=ManyProcesses),
    ),
    Fault(
        "suspended_one",
        "stopped for 20 s (sac-train)",
        functools.partial(_paused_and_continued, kind=OneProcess),
    ),
    Fault("detach", "--detach, then Ctrl-C", _detached_then_interrupted),
    Fault(
        "stop_in_prepare",
        "stop_training.sh during prepare",
        functools.partial(_stopped_during_prepare, by=None),
    ),
    Fault(
        "ctrl_c_in_prepare",
        "Ctrl-C during prepare",
        functools.partial(_stopped_during_prepare, by=signal.SIGINT),
    ),
    *(
        Fault(
            f"stop_without_{name.replace('.', '_')}",
            f"{name} deleted, then stop_training.sh",
            functools.partial(_stopped_without, name=name),
        )
        for name in ("run.json", "launcher.pid", "run.lock")
    ),
    *(
        Fault(
            f"{signum.name.lower()}_many",
            f"{signum.name} to the launcher",
            functools.partial(_signalled, kind=ManyProcesses, signum=signum),
        )
        for signum in (signal.SIGHUP, signal.SIGUSR1)
    ),
    Fault(
        "sigterm_one",
        "SIGTERM to sac-train",
        functools.partial(_signalled, kind=OneProcess, signum=signal.SIGTERM),
    ),
    Fault("watched_lock", "tail -f run.lock, then stop_training.sh", _watched_lock),
    Fault("killed_svscan", "kill -9 of svscan", _killed_svscan),
    Fault("killed_launcher", "kill -9 of the launcher", _killed_launcher),
    Fault("ctrl_c_in_set_up", "Ctrl-C while sac-train starts", _interrupted_set_up),
]
