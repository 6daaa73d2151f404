"""Faults of the experiment directory: used twice, moved, deleted, unreadable."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

from fault import Fault, Scene, goes_on, goes_on_or_resumes, stop_in_time
from limited_waiting import wait_for
from trainings import ManyProcesses, OneProcess, Training

# What a process of the other mode would write.
SNAPSHOTS = ("params.py", "config.json", "kwargs.json", "specs.pbtxt", "run.json")
# Root may read everything, unless it gives up that right.
WITHOUT_PRIVILEGES = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if os.geteuid() == 0
    else ()
)


def _read_snapshots(root: Path) -> dict[str, bytes]:
    return {
        name: (root / name).read_bytes() for name in SNAPSHOTS if (root / name).exists()
    }


def _other_mode(scene: Scene, kind: type[Training], other: type[Training]) -> str:
    """Launches one mode in a directory of the other, running and then stopped."""
    training = scene.train(kind)
    intruder = scene.make(other, root=training.root)
    before = _read_snapshots(training.root)
    running = scene.expect_refusal(intruder)
    goes_on(training)
    stop_in_time(training)
    stopped = scene.expect_refusal(intruder)
    after = _read_snapshots(training.root)
    changed = [name for name in before if before[name] != after.get(name)]
    scene.expect(not changed and len(before) == len(after), f"changed: {changed}")
    training.start_training()
    return f"running: {running}; stopped: {stopped}"


def _bare_sac_train(scene: Scene) -> str:
    """Runs sac-train with nothing but a directory."""
    training = scene.make(OneProcess, root=scene.folder / "new")
    command = training.command()
    ended = training.call(command[: command.index("--params")], secs=240)
    return str(ended.expect(2))


def _second_start(scene: Scene, kind: type[Training], deleted: str = "") -> str:
    """Starts a training a second time, after deleting a file or not."""
    training = scene.train(kind)
    if deleted:
        (training.root / deleted).unlink()
    refusal = scene.expect_refusal(scene.make(kind, root=training.root))
    goes_on(training)
    stop_in_time(training)
    return refusal


def _deleted(scene: Scene, kind: type[Training]) -> str:
    training = scene.train(kind)
    scene.forget(training)

    def is_deleted() -> bool:
        # A file that is made meanwhile keeps `rm` from removing its folder.
        subprocess.run(["rm", "-rf", training.root], capture_output=True, check=False)
        return not training.root.exists()

    wait_for(is_deleted, "deletion", 10)
    ended = training.wait_end()
    scene.expect(ended.code != 0, f"exit code 0: {ended.last_line}")
    wait_for(lambda: not scene.traces.processes(), "end of all", 30)
    scene.expect(not training.root.exists(), "the directory came back")
    return f"exit code {ended.code}: {ended.last_line}"


def _moved(scene: Scene, kind: type[Training]) -> str:
    training = scene.train(kind)
    old = training.root
    new = old.with_name("moved")
    old.rename(new)
    training.root = new
    ended = training.wait_end()
    scene.expect(ended.code != 0, f"exit code 0: {ended.last_line}")
    wait_for(lambda: not scene.traces.processes(), "end of all", 30)
    scene.expect(not old.exists(), "the directory came back")
    training.start_training()
    return f"exit code {ended.code}: {ended.last_line}; it resumes where it is now"


def _checkpoint_files(training: Training) -> list[Path]:
    checkpoints = training.root / "train" / "checkpoints"
    files = [*training.root.glob("ckpt-*"), *checkpoints.glob("generation_*/**/*")]
    return [path for path in files if path.is_file()]


def _checkpoints_deleted(scene: Scene, kind: type[Training]) -> str:
    training = scene.train(kind)
    stop_in_time(training)
    scene.forget(training)
    for path in _checkpoint_files(training):
        path.unlink()
    for path in (training.root / "train" / "checkpoints").glob("generation_*"):
        shutil.rmtree(path)
    return scene.expect_refusal(training)


def _checkpoints_unreadable(scene: Scene, kind: type[Training]) -> str:
    training = scene.make(kind)
    training.prefix = WITHOUT_PRIVILEGES
    training.start_training()
    stop_in_time(training)
    scene.acknowledge(training)
    files = _checkpoint_files(training)
    for path in files:
        path.chmod(0)
    refusal = scene.expect_refusal(training)
    missing = [path.name for path in files if not path.exists()]
    scene.expect(not missing, f"gone: {missing}")
    for path in files:
        path.chmod(0o644)
    training.start_training()
    return f"{refusal}; made readable again, it resumes"


def _read_only(scene: Scene, kind: type[Training]) -> str:
    training = scene.make(kind)
    training.prefix = WITHOUT_PRIVILEGES
    training.start_training()
    scene.acknowledge(training)
    folders = [Path(folder) for folder, _, _ in os.walk(training.root)]
    for mode in (0o555, 0o755):
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):  # It was temporary.
                folder.chmod(mode)
        if mode == 0o555:
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert training.process is not None
                training.process.wait(30)
    return goes_on_or_resumes(training)


def _symlinked(scene: Scene) -> str:
    real = scene.folder / "elsewhere" / "experiment"
    real.parent.mkdir()
    link = scene.folder / "logs"
    link.symlink_to(real.parent)
    training = scene.train(ManyProcesses, root=link / "experiment")
    refusal = scene.expect_refusal(scene.make(ManyProcesses, root=real))
    training.root = real  # The place that it is stopped by.
    return f"by its real path: {refusal}; {stop_in_time(training)}"


def _blank_names(scene: Scene) -> str:
    refusals = [
        scene.expect_refusal(scene.make(ManyProcesses, root=scene.folder / name))
        for name in ("trailing blank ", "two\nlines")
    ]
    return refusals[0]


_MODES: tuple[tuple[str, type[Training], str], ...] = (
    ("many", ManyProcesses, "launch_training.sh"),
    ("one", OneProcess, "sac-train"),
)
_OF_BOTH_MODES: tuple[tuple[str, str, Callable[..., str]], ...] = (
    ("started_twice", "started a second time", _second_start),
    ("deleted", "rm -rf of the directory while it trains", _deleted),
    ("moved", "mv of the directory while it trains", _moved),
    ("checkpoints_deleted", "all checkpoints deleted", _checkpoints_deleted),
    ("checkpoints_unreadable", "unreadable checkpoints", _checkpoints_unreadable),
    ("read_only", "directory read-only for 30 s", _read_only),
)
FAULTS = [
    Fault(
        "sac_train_on_many",
        "sac-train in a directory of launch_training.sh, running and stopped",
        functools.partial(_other_mode, kind=ManyProcesses, other=OneProcess),
    ),
    Fault(
        "launcher_on_one",
        "launch_training.sh in a directory of sac-train, running and stopped",
        functools.partial(_other_mode, kind=OneProcess, other=ManyProcesses),
    ),
    Fault(
        "bare_sac_train", "sac-train --logdir NEW, and nothing else", _bare_sac_train
    ),
    *(
        Fault(f"{name}_{mode}", f"{event} ({command})", functools.partial(f, kind=kind))
        for mode, kind, command in _MODES
        for name, event, f in _OF_BOTH_MODES
    ),
    *(
        Fault(
            f"without_{name.replace('.', '_')}",
            f"{name} deleted while it trains, then started a second time",
            functools.partial(_second_start, kind=ManyProcesses, deleted=name),
        )
        for name in ("run.lock", "launcher.pid", "run.json")
    ),
    Fault("symlinked", "logs is a symbolic link", _symlinked),
    Fault("blank_names", "directory with a trailing blank, or a newline", _blank_names),
]
