"""Environments through all processes and to a video; tests/processes has more kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import Run, check_trained, evaluate, wait_for
from tfagents_system.experiment.services import worker_name
from tfagents_system.experiment.status_file import Phase

PARAMS = Path(__file__).with_name("toy_params.py").read_text()
HORIZON = 40
# They need more env steps than the replay takes before the first of them.
TRAIN_STEPS = 300
WARM_UP_ROWS = 4 * HORIZON

pytestmark = pytest.mark.timeout(300)


def train(run: Run) -> dict[str, Any]:
    """Trains to the end, and films; returns what run.py says of the episode."""
    try:
        run.start_launcher()
        wait_for(run.has_ended, "the end of the training", 240)
        check_trained(run.experiment, TRAIN_STEPS)
        assert run.env_steps >= WARM_UP_ROWS
        assert Phase.WARMING_UP.value in run.log(worker_name(0))
        return evaluate(run)
    finally:
        run.close()


def test_parts_of_an_observation_are_trained_on_and_filmed(tmp_path: Path) -> None:
    train_params = {"normalize_observations": True}
    run = Run(tmp_path, PARAMS, env="dict", horizon=HORIZON, train_params=train_params)
    episode = train(run)
    assert 0 < episode["length"] <= HORIZON
    assert episode["is_success"] is not None
    assert run.worker().eval_success_rate is not None


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
    episode = train(run)
    assert 0 < episode["length"] <= HORIZON
