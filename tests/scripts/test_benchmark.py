"""scripts/benchmark and scripts/reliability: any environment, tables, one training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import plot_returns
import pytest

from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "scripts" / "benchmark"))
import benchmark_params
import peer_training
import run as benchmark

SCRIPTS = REPOSITORY / "scripts"
COMMANDS = sorted(
    path
    for folder in ("benchmark", "reliability")
    for path in (SCRIPTS / folder).glob("*.py")
    if "__main__" in path.read_text()
)


def run_script(path: Path, *arguments: str | Path) -> str:
    """Runs a script as a user does; returns its stdout."""
    completed = subprocess.run(
        [sys.executable, path, *arguments], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_every_script_has_a_help(path: Path) -> None:
    assert "usage: " in run_script(path, "--help")


@pytest.mark.parametrize(
    ("name", "is_old"),
    [("Pendulum-v1", True), ("HopperBulletEnv-v0", True), ("Hopper-v5", False)],
)
def test_the_peers_train_in_the_same_environment(name: str, is_old: bool) -> None:
    params = benchmark_params.TrainParams({"env": name, "horizon": 1000})
    ours = params.env_ctor(seed=1)
    theirs = peer_training.make_env(name)
    assert isinstance(theirs.unwrapped, peer_training.OldGymEnvironment) == is_old
    # TF-Agents has loaders for those of gym and PyBullet only.
    assert benchmark.is_gym_id(name) == is_old
    assert theirs.observation_space.shape == ours.observation_spec().shape
    assert theirs.action_space.shape == ours.action_spec().shape
    observation, _ = theirs.reset(seed=1)
    assert observation.shape == ours.reset().observation.shape


def test_a_time_limit_of_gym_is_a_truncation_for_the_peers() -> None:
    env = peer_training.make_env("Pendulum-v1")
    env.reset(seed=0)
    ends = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(200)]
    assert ends == [(False, False)] * 199 + [(False, True)]


def test_an_environment_that_nobody_has_is_an_error_for_the_peers() -> None:
    with pytest.raises(gymnasium.error.Error, match="Nowhere"):
        peer_training.make_env("Nowhere-v0")


def test_the_environment_that_sleeps_is_of_the_benchmarks_own() -> None:
    params = benchmark_params.TrainParams(
        {"env": "sleeping", "step_secs": 0.0, "horizon": 1000}
    )
    env = params.env_ctor(seed=1)
    env.reset()
    assert env.step(np.zeros(8, np.float32)).reward == 0.0


def test_the_peers_write_the_header_that_the_plot_reads() -> None:
    assert ",".join(plot_returns.COLUMNS) == peer_training.CSV_HEADER


def result(library: str, wall_ms: float, cpu_ms: float, **more: float) -> Any:
    """Returns what a script reports of one training."""
    return {"library": library, "wall_ms": wall_ms, "cpu_ms": cpu_ms, **more}


def test_repeats_are_median_minimum_and_maximum() -> None:
    rows = benchmark.compare(
        "Hopper-v5",
        [
            result("ours", 4.0, 8.0, secs_to_first_train_step=20.4),
            result("sb3", 9.0, 18.0),
            result("ours", 5.0, 10.0, secs_to_first_train_step=22.6),
            result("sb3", 10.0, 20.0),
            result("ours", 7.0, 11.0, secs_to_first_train_step=21.2),
            result("sb3", 12.5, 17.0),
        ],
    )
    assert rows == [
        [
            *("Hopper-v5", "ours", "200"),
            *("5.00 (4.00 to 7.00)", "10.00 (8.00 to 11.00)"),
            *("1.00x", "1.00x", "21 (20 to 23)"),
        ],
        [
            *("Hopper-v5", "sb3", "100"),
            *("10.00 (9.00 to 12.50)", "18.00 (17.00 to 20.00)"),
            *("2.00x", "1.80x", ""),
        ],
    ]


def test_one_repeat_is_its_value() -> None:
    assert benchmark.spread([54321.4], 0) == "54,321"


@pytest.mark.timeout(300)
def test_a_measured_training_keeps_its_experiment_directory(tmp_path: Path) -> None:
    exp_dir = tmp_path / "kept"
    output = run_script(
        SCRIPTS / "benchmark" / "system.py",
        *("--env", "Pendulum-v1", "--horizon", "200", "--warm_up_env_steps", "200"),
        *("--steps", "20", "--untimed_steps", "10", "--exp_dir", exp_dir),
    )
    measured = json.loads(output.splitlines()[-1])
    assert measured["env"] == "Pendulum-v1"
    assert measured["secs_to_first_train_step"] > 0
    assert measured["wall_ms"] > 0
    assert measured["cpu_ms"] > 0
    assert measured["num_rows"] >= 200
    names = {"replay_server", "learner", "collect_worker_0"}
    assert set(measured["cpus_used"]) == set(measured["memory_mb"]) == names
    run_script(
        SCRIPTS / "plot_returns.py",
        *(exp_dir, "--episodes", "train", "--export", tmp_path / "kept.csv"),
    )
    episodes = plot_returns.read_csv(tmp_path / "kept.csv", "env_steps")
    assert (episodes.returns < 0).all()
