"""Faults of the user's environment: what it starts, exits, prints, and its pace."""

from __future__ import annotations

import functools
import os
import signal

from fault import MAX_STOP_SECS, Fault, Scene, goes_on, stop_in_time
from limited_waiting import pause, wait_for
from trainings import LONG_STEP_SECS, START_SECS, ManyProcesses, OneProcess, Training

_NUM_WORKER_KILLS = 3
# docs/training.md: the newest 10 MB are kept; a file is closed at 1 MB.
_MAX_LOG_BYTES = 12_000_000


def _leaves_children(scene: Scene, behaviour: str) -> str:
    """The environment starts processes; they must not outlive its own."""
    training = scene.train(ManyProcesses, behaviour)
    counts = [len(_children(scene))]
    for _ in range(_NUM_WORKER_KILLS):
        old = training.service("collect_worker_0").pid
        os.kill(old, signal.SIGKILL)

        def is_replaced(old: int = old) -> bool:
            new = training.traces.services().get("collect_worker_0", [])
            return any(process.pid != old for process in new)

        wait_for(is_replaced, "new worker", 60)
        training.wait_for_checkpoint()
        counts.append(len(_children(scene)))
    scene.expect(max(counts) <= counts[0], f"they pile up: {counts}")
    return f"{counts} after each kill; {stop_in_time(training)}"


def _children(scene: Scene) -> list[int]:
    """Returns what environments have started: programs, and copies of a worker."""
    programs = [process.pid for process in scene.traces.find("sleep")]
    workers = scene.traces.services().get("collect_worker_0", [])
    return programs or [process.pid for process in workers][1:]


def _leaves_children_in_one_process(scene: Scene, behaviour: str) -> str:
    training = scene.train(OneProcess, behaviour)
    count = len(_children(scene))
    training.process.kill()
    training.wait_end()
    training.start_training()
    now = len(_children(scene))
    scene.expect(now <= count, f"they pile up: {count}, then {now}")
    return stop_in_time(training)


def _exits_at_import(scene: Scene, kind: type[Training]) -> str:
    training = scene.make(kind)
    training.params = scene.folder / "exits.py"
    training.params.write_text("import sys\n\nsys.exit()\n")
    return scene.expect_refusal(training)


def _refused(scene: Scene, kind: type[Training], behaviour: str) -> str:
    return scene.expect_refusal(scene.make(kind, behaviour))


def _gives_up(scene: Scene, behaviour: str) -> str:
    """The environment ends its worker again and again: a failure, not progress."""
    training = scene.make(ManyProcesses, behaviour)
    training.start()
    return str(training.wait_end(START_SECS).expect(2))


def _ends_one_process(scene: Scene, behaviour: str) -> str:
    """The environment ends the only process, which must not look like success."""
    training = scene.make(OneProcess, behaviour)
    training.start()
    ended = training.wait_end(START_SECS)
    # No process can change the code that its own os._exit has been given.
    if behaviour != "os._exit in a step":
        scene.expect(ended.code != 0, "exit code 0, as if training were complete")
    return f"exit code {ended.code}: {ended.last_line}"


def _chatters(scene: Scene) -> str:
    training = scene.train(ManyProcesses, "chatters")
    pause(30)
    goes_on(training)
    log = training.root / "services" / "collect_worker_0" / "log" / "main"
    num_bytes = sum(path.stat().st_size for path in log.iterdir() if path.is_file())
    scene.expect(num_bytes < _MAX_LOG_BYTES, f"a log of {num_bytes / 1e6:.0f} MB")
    return f"it trains on, with a log of {num_bytes / 1e6:.0f} MB"


def _has_long_steps(scene: Scene, kind: type[Training]) -> str:
    training = scene.make(kind, "long steps")
    training.start()
    marker = training.root / "config.json"
    wait_for(marker.exists, "snapshot", START_SECS)
    if kind is ManyProcesses:
        training.service("collect_worker_0")
    pause(20)
    scene.expect(training.is_running, "it has ended")
    # One process cannot save before the env step under way has ended.
    step_secs = LONG_STEP_SECS if kind is OneProcess else 0
    return stop_in_time(training, max_secs=MAX_STOP_SECS + step_secs)


FAULTS = [
    *(
        Fault(f"{name}_many", event, functools.partial(_leaves_children, behaviour=b))
        for name, event, b in (
            ("simulator", "the environment starts a simulator", "simulator"),
            (
                "simulator_in_session",
                "the environment starts a simulator in a session of its own",
                "simulator in a session",
            ),
            ("forks", "the environment forks", "forks"),
        )
    ),
    Fault(
        "simulator_one",
        "the environment starts a simulator (sac-train)",
        functools.partial(_leaves_children_in_one_process, behaviour="simulator"),
    ),
    *(
        fault
        for mode, kind in (("many", ManyProcesses), ("one", OneProcess))
        for fault in (
            Fault(
                f"exit_at_import_{mode}",
                f"sys.exit() when the params file is imported ({mode})",
                functools.partial(_exits_at_import, kind=kind),
            ),
            Fault(
                f"exit_in_constructor_{mode}",
                f"sys.exit() in the environment's constructor ({mode})",
                functools.partial(
                    _refused, kind=kind, behaviour="exits in its constructor"
                ),
            ),
            Fault(
                f"long_steps_{mode}",
                f"env steps of 60 s, then stop ({mode})",
                functools.partial(_has_long_steps, kind=kind),
            ),
        )
    ),
    *(
        fault
        for name, behaviour in (
            ("exit", "exits in a step"),
            ("os_exit", "os._exit in a step"),
            ("interrupt", "KeyboardInterrupt in a step"),
        )
        for fault in (
            Fault(
                f"{name}_in_step_many",
                f"the environment: {behaviour} (many)",
                functools.partial(_gives_up, behaviour=behaviour),
            ),
            Fault(
                f"{name}_in_step_one",
                f"the environment: {behaviour} (one)",
                functools.partial(_ends_one_process, behaviour=behaviour),
            ),
        )
    ),
    Fault(
        "changes_folder",
        "an environment that changes its folder and fails",
        functools.partial(_gives_up, behaviour="changes folder and fails"),
    ),
    Fault("chatters", "an environment that prints 1 MB/s", _chatters),
]
