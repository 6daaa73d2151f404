"""sac-train as a user runs it: killed, resumed, stopped, evaluated; without Reverb."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import REPOSITORY
from tests.end_to_end import harness
from tests.end_to_end.harness import read_scalars, wait_for
from tests.host.test_process_tree import is_dead
from tfagents_system.host import files

# Reverb cannot be imported.
COMMAND = (
    "import sys; sys.modules['reverb'] = None;"
    "from tfagents_system.train import main; sys.exit(main())"
)
FLAGS = (
    "--env Pendulum-v1 --hidden 32 32 --batch_size 32 --warm_up_steps 100 "
    "--checkpoint_interval 300 --log_interval 300 --episodes_per_eval 1 "
    "--iterations 900"
)

pytestmark = pytest.mark.timeout(600)


def start(
    logdir: Path,
    flags: str = "",
    before: Sequence[str] = (),
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Starts a training; `before` are the words of a command that runs it."""
    command = [sys.executable, "-c", COMMAND, "--logdir", str(logdir), *flags.split()]
    return subprocess.Popen(
        [*before, *command],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Waits for the end; returns what was printed."""
    output, errors = process.communicate(timeout=200)
    assert process.returncode == code, errors
    assert output == ""
    return errors or ""


def read_state(logdir: Path, iteration: int) -> dict[str, Any]:
    """Returns everything that a checkpoint holds, by name."""
    path = str(logdir / f"ckpt-{iteration}")
    state = {
        name: tf.train.load_variable(path, name)
        for name, _ in tf.train.list_variables(path)
        if not name.startswith("_")
    }
    manifest = json.loads(Path(f"{path}.json").read_bytes())
    names = [name for name in manifest["files"] if name.startswith("replay")]
    state["rows"] = np.concatenate([np.load(logdir / name) for name in names])
    state["random state"] = np.array(json.dumps(manifest["state"]))
    return state


def test_killed_and_resumed_it_reaches_the_same_state(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    lines = finish(start(straight, FLAGS)).splitlines()
    # In a pipe there is no bar, only a line for each evaluation.
    assert [line.partition(":")[0] for line in lines] == [
        f"iteration {iteration}" for iteration in (300, 600, 900)
    ]

    process = start(killed, FLAGS)
    wait_for(lambda: (killed / "ckpt-300.json").exists(), "the first checkpoint")
    process.kill()
    finish(process, -signal.SIGKILL)
    assert "resumed at iteration 300" in finish(start(killed))

    expected, found = read_state(straight, 900), read_state(killed, 900)
    assert len(expected["rows"]) == 900
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(value, found[name], err_msg=name)
    returns = read_scalars(killed / "eval" / "sac")["Metrics_vs_env_step/return"]
    assert [step for step, _ in returns] == [300, 600, 900]

    check_evaluation(killed)
    check_stop(killed)


BROKEN_PARAMS = """
import subprocess

import gym
from tf_agents.environments import suite_gym
from tfagents_system.one_process.params import FlagParams


class Broken(gym.Wrapper):
    num_steps = 0

    def step(self, action):
        self.num_steps += 1
        if self.num_steps == 150:
            raise RuntimeError("the motor is on fire")
        return super().step(action)


class TrainParams(FlagParams):
    def env_ctor(self, seed=None, *args, **kwargs):
        simulator = subprocess.Popen(["sleep", "1000"])
        with open(self.env_config["mark"], "a") as mark:
            mark.write(f"{simulator.pid}\\n")
        return suite_gym.wrap_env(Broken(gym.make("Pendulum-v1")))
"""


def test_an_error_of_the_environment_ends_it_and_what_it_has_started(
    tmp_path: Path,
) -> None:
    params, mark = tmp_path / "broken.py", tmp_path / "mark"
    params.write_text(BROKEN_PARAMS)
    process = start(tmp_path / "runs", f"{FLAGS} --params {params} --mark {mark}")
    # It is raised while a gradient step is under way.
    errors = finish(process, 1)
    assert errors.splitlines()[-1] == "RuntimeError: the motor is on fire"
    # Of the rehearsal, to train in, and to evaluate in.
    simulators = [int(pid) for pid in mark.read_text().split()]
    assert len(simulators) >= 3
    assert all(map(is_dead, simulators))


def check_evaluation(logdir: Path) -> None:
    command = [sys.executable, "tfagents_system/run.py", "--json"]
    command += ["--exp_dir", str(logdir), "--num_episodes", "1"]
    result = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["checkpoint"] == "policy_checkpoint_0000000800"
    harness.check_video(report["episodes"][0]["video"])


def check_stop(logdir: Path) -> None:
    assert "already complete" in finish(start(logdir))
    process = start(logdir, "--iterations 1000000 --log_interval 50")
    wait_for((logdir / "ckpt-1200.json").exists, "more iterations")
    # One directory, one training.
    message = f"another training runs in {logdir} (pid {process.pid})"
    assert message in finish(start(logdir), 2)
    # It ends where it lost its directory, and makes no other.
    moved = logdir.rename(logdir.with_name("moved"))
    errors = finish(process, 2).splitlines()
    assert errors[-1].startswith(f"error: {logdir} was moved or deleted")
    assert not logdir.exists()
    process = start(moved)
    assert process.stderr is not None
    resumed = process.stderr.readline()
    assert resumed.startswith("resumed at iteration ")
    process.terminate()
    assert finish(process, 130).endswith(
        "\nStopping after this iteration, with a checkpoint.\n"
        "Stopped. The same command resumes.\n"
    )
    newest = newest_checkpoint(moved)
    process = start(moved)
    assert process.stderr is not None
    assert process.stderr.readline() == f"resumed at iteration {newest:,}\n"
    process.send_signal(signal.SIGINT)
    finish(process, 130)


SLOW_PARAMS = """
import pathlib
import time

from tfagents_system.one_process.params import FlagParams


class TrainParams(FlagParams):
    def env_ctor(self, seed=None, *args, **kwargs):
        pathlib.Path(self.env_config["mark"]).touch()
        time.sleep(600)
"""


def test_ctrl_c_while_it_is_set_up_ends_it_quietly(tmp_path: Path) -> None:
    params, mark = tmp_path / "slow.py", tmp_path / "mark"
    params.write_text(SLOW_PARAMS)
    process = start(tmp_path / "runs", f"{FLAGS} --params {params} --mark {mark}")
    wait_for(mark.exists, "the environment")
    process.send_signal(signal.SIGINT)
    assert finish(process, 130) == ""
    assert not (tmp_path / "runs").exists()


def fill(disk: Path) -> Path:
    """Writes a file until a disk is full; returns it."""
    filler = disk / "filler"
    with (
        contextlib.suppress(OSError),
        filler.open("wb", buffering=0) as file,
    ):
        while True:
            file.write(bytes(4096))
    return filler


def newest_checkpoint(logdir: Path) -> int:
    """Returns the iteration of the newest checkpoint, 0 if there is none."""
    return max((int(path.stem[5:]) for path in logdir.glob("ckpt-*.json")), default=0)


def test_a_full_disk_costs_checkpoints_and_no_training(tmp_path: Path) -> None:
    mounted, printed = tmp_path / "disk", tmp_path / "printed"
    mounted.mkdir()
    # A disk of its own, in a namespace that ends with the process.
    mount = f'mount -t tmpfs -o size=24m tmpfs {mounted} && exec "$@"'
    namespace = "-m" if os.geteuid() == 0 else "-rm"
    with printed.open("wb") as stderr:
        process = start(
            mounted / "runs",
            f"{FLAGS} --iterations 1000000 --max_to_keep 2",
            ["unshare", namespace, "sh", "-c", mount, "sh"],
            stderr,
        )
    try:
        seen = Path(f"/proc/{process.pid}/root{mounted}")
        checkpoint = seen / "runs" / "ckpt-300.json"
        wait_for(checkpoint.exists, "a checkpoint", timeout_secs=300)
        with opened(seen) as disk:  # It stays as long as it is open.
            fill_and_free(disk, printed)
            process.send_signal(signal.SIGINT)
            finish(process, 130)
            check_disk(disk)
    finally:
        process.kill()
        process.wait()
    said = printed.read_text()
    message = rf"error: no checkpoint: .*; 0\.0 MB free on the disk of {mounted}/runs\n"
    assert re.search(message, said)
    assert "Traceback" not in said


def fill_and_free(disk: Path, printed: Path) -> None:
    """Fills the disk for some checkpoints, and waits for those that come after."""

    def num_errors() -> int:
        return printed.read_text().count("error: no checkpoint: ")

    filler = fill(disk)
    wait_for(lambda: num_errors() >= 2, "checkpoints that find no room")
    before = newest_checkpoint(disk / "runs")
    filler.unlink()
    # The checkpoints of before make room for these.
    wait_for(
        lambda: newest_checkpoint(disk / "runs") > before + 600, "more checkpoints"
    )


def check_disk(disk: Path) -> None:
    """Checks that the newest checkpoint is complete, and that there is no leftover."""
    logdir = disk / "runs"
    newest = newest_checkpoint(logdir)
    manifest = json.loads((logdir / f"ckpt-{newest}.json").read_bytes())
    assert manifest["rows"] == [0, newest]
    for name, expected in manifest["files"].items():
        assert list(files.fingerprint(logdir / name)) == expected
    # Two checkpoints of three files each.
    assert len(list(logdir.glob("*ckpt-*"))) == 6
    space = shutil.disk_usage(disk)
    assert space.used < space.total / 2


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Opens a folder; yields a path that leads to it as long as it is open."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
