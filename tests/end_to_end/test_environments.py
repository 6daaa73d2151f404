"""An environment through all processes and to a video; tests/processes has more kinds.

tests/slurm trains the example's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.harness import Run, check_trained, evaluate, wait_for
from tfagents_system.experiment.services import worker_name
from tfagents_system.experiment.status_file import Phase

PARAMS = Path(__file__).with_name("toy_params.py").read_text()
HORIZON = 40
# They need more env steps than the replay takes before the first of them.
TRAIN_STEPS = 300
WARM_UP_ROWS = 4 * HORIZON


@pytest.mark.timeout(300)
def test_parts_of_an_observation_are_trained_on_and_filmed(tmp_path: Path) -> None:
    train_params = {"normalize_observations": True}
    run = Run(tmp_path, PARAMS, env="dict", horizon=HORIZON, train_params=train_params)
    try:
        run.start_launcher()
        wait_for(run.has_ended, "the end of the training", 240)
        check_trained(run.experiment, TRAIN_STEPS)
        assert run.env_steps >= WARM_UP_ROWS
        assert Phase.WARMING_UP.value in run.log(worker_name(0))
        episode = evaluate(run)
    finally:
        run.close()
    assert 0 < episode["length"] <= HORIZON
    assert episode["is_success"] is not None
    assert run.worker().eval_success_rate is not None
