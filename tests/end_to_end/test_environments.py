"""Environments of every kind, through all processes and to a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import Run, evaluate, read_scalars, wait_for
from tfagents_system.experiment.services import worker_name
from tfagents_system.experiment.status_file import Phase

PARAMS = Path(__file__).with_name("toy_params.py").read_text()
HORIZON = 40
# They need more env steps than the replay takes before the first of them.
TRAIN_STEPS = 300
WARM_UP_ROWS = 4 * HORIZON

pytestmark = pytest.mark.timeout(300)


def train(run: Run, begins_randomly: bool = True) -> None:
    """Trains to the end; checks that something was collected, learned and acted on.

    Args:
      run: The run.
      begins_randomly: Whether the warm-up is to have random actions.
    """
    run.start_launcher()
    wait_for(run.has_ended, "the end of the training", 240)
    assert run.train_step == TRAIN_STEPS
    assert run.env_steps >= WARM_UP_ROWS
    log = run.log(worker_name(0))
    assert (Phase.WARMING_UP.value in log) == begins_randomly
    folder = run.experiment.train_summaries(worker_name(0))
    returns = read_scalars(folder)["Metrics/return"]
    assert returns[0][0] == 0
    assert returns[-1][0] > 0, "no episode was collected with a newer policy"
    worker = run.worker()
    assert worker.eval_train_step == TRAIN_STEPS
    assert worker.eval_return is not None
    assert np.isfinite(worker.eval_return)


@pytest.mark.parametrize(
    ("name", "train_params"),
    [
        ("dm_control/pendulum-swingup", {}),
        ("dict", {"normalize_observations": True}),
        ("memory", {"recurrent": True}),
        ("history", {"n_step_returns": 3, "seed_sac_buffer": False}),
    ],
)
def test_training_and_video(
    tmp_path: Path, name: str, train_params: dict[str, Any]
) -> None:
    run = Run(tmp_path, PARAMS, env=name, horizon=HORIZON, train_params=train_params)
    try:
        train(run, train_params.get("seed_sac_buffer", True))
        episode = evaluate(run)
    finally:
        run.close()
    assert 0 < episode["length"] <= HORIZON
    has_success = name == "dict"
    assert (episode["is_success"] is not None) == has_success
    assert (run.worker().eval_success_rate is not None) == has_success


def test_the_minitaur_of_the_example_is_trained(tmp_path: Path) -> None:
    params = REPOSITORY / "tfagents_system" / "minitaur_params.py"
    config = json.loads((REPOSITORY / "config" / "minitaur.json").read_text())
    config["horizon"] = HORIZON
    config["train_params"] = {
        "num_iter": 12,
        "num_steps_per_iter": 25,
        "train_batch_size": 16,
        "n_buffer_init_episodes": 4,
        "n_eval_episodes": 1,
        "eval_period_itrs": 6,
        "actor_fc_layer_params": [32],
        "critic_joint_fc_layer_params": [32],
    }
    run = Run(tmp_path, params.read_text(), **config)
    try:
        train(run)
        episode = evaluate(run)
    finally:
        run.close()
    assert 0 < episode["length"] <= HORIZON
