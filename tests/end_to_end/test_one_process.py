"""sac-train as a user runs it: killed, resumed, stopped, evaluated; without Reverb."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import REPOSITORY
from tests.end_to_end import harness
from tests.end_to_end.harness import read_scalars, wait_for

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

pytestmark = pytest.mark.timeout(300)


def start(logdir: Path, flags: str = "") -> subprocess.Popen[str]:
    """Starts a training."""
    command = [sys.executable, "-c", COMMAND, "--logdir", str(logdir), *flags.split()]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Waits for the end; returns what was printed."""
    output, errors = process.communicate(timeout=200)
    assert process.returncode == code, errors
    assert output == ""
    return errors


def read_state(logdir: Path, iteration: int) -> dict[str, Any]:
    """Returns everything that a checkpoint holds, by name."""
    path = str(logdir / f"ckpt-{iteration}")
    state = {
        name: tf.train.load_variable(path, name)
        for name, _ in tf.train.list_variables(path)
        if not name.startswith("_")
    }
    manifest = json.loads(Path(f"{path}.json").read_bytes())
    files = [name for name in manifest["files"] if name.startswith("replay")]
    state["rows"] = np.concatenate([np.load(logdir / name) for name in files])
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
        return suite_gym.wrap_env(Broken(gym.make("Pendulum-v1")))
"""


def test_an_error_of_the_environment_ends_it(tmp_path: Path) -> None:
    params = tmp_path / "broken.py"
    params.write_text(BROKEN_PARAMS)
    process = start(tmp_path / "runs", f"{FLAGS} --params {params}")
    # It is raised while a gradient step is under way.
    errors = finish(process, 1)
    assert errors.splitlines()[-1] == "RuntimeError: the motor is on fire"


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
    folder = logdir / "ckpt-1200.json"
    wait_for(folder.exists, "more iterations")
    # One directory, one training.
    assert "another training runs in" in finish(start(logdir), 2)
    process.terminate()
    assert finish(process, 130).endswith("Stopped. The same command resumes.\n")
    newest = max(int(path.stem[5:]) for path in logdir.glob("ckpt-*.json"))
    assert newest > 1200
    process = start(logdir)
    assert process.stderr is not None
    assert process.stderr.readline() == f"resumed at iteration {newest:,}\n"
    process.send_signal(signal.SIGINT)
    finish(process, 130)
