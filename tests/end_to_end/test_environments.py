"""Environments of every kind, through all processes and to a video."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import Run, read_scalars, wait_for

PARAMS = Path(__file__).with_name("toy_params.py").read_text()
HORIZON = 40
TRAIN_STEPS = 100
WARM_UP_ROWS = 4 * HORIZON
WORKER = "collect_worker_0"

pytestmark = pytest.mark.timeout(300)


def train(run: Run) -> None:
    """Trains to the end; checks that something was collected, learned and acted on."""
    run.start_launcher()
    wait_for(run.has_ended, "the end of the training", 240)
    assert run.train_step == TRAIN_STEPS
    assert run.env_steps >= WARM_UP_ROWS
    returns = read_scalars(run.experiment.train_summaries(WORKER))["Metrics/return"]
    assert returns[0][0] == 0
    assert returns[-1][0] > 0, "no episode was collected with a newer policy"
    assert run.status(WORKER, "eval_train_step") == TRAIN_STEPS
    assert np.isfinite(run.status(WORKER, "eval_return", np.nan))


def evaluate(run: Run) -> dict[str, Any]:
    """Evaluates to a video; returns what run.py reports of the episode."""
    command = [sys.executable, "tfagents_system/run.py", "--json"]
    command += ["--exp_dir", str(run.experiment.root), "--num_episodes", "1"]
    result = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (episode,) = json.loads(result.stdout)["episodes"]
    frames = np.stack(imageio.mimread(episode["video"], memtest=False))
    assert len(frames) > 2
    assert np.ptp(frames.astype(int), axis=0).max() > 50, "nothing moves in the video"
    return dict(episode)


@pytest.mark.parametrize(
    ("name", "train_params"),
    [
        ("Pendulum-v1", {}),
        ("MinitaurBulletEnv-v0", {}),
        ("HalfCheetah-v5", {}),
        ("dm_control/cartpole-swingup", {}),
        ("bare", {}),
        ("dict", {"normalize_observations": True}),
        ("image", {}),
        ("memory", {"recurrent": True}),
    ],
)
def test_training_and_video(
    tmp_path: Path, name: str, train_params: dict[str, Any]
) -> None:
    run = Run(tmp_path, PARAMS, env=name, horizon=HORIZON, train_params=train_params)
    try:
        train(run)
        episode = evaluate(run)
    finally:
        run.close()
    assert 0 < episode["length"] <= HORIZON
    has_success = name == "dict"
    assert (episode["is_success"] is not None) == has_success
    assert (run.status(WORKER, "eval_success_rate", None) is not None) == has_success
