"""ContactInsert through all processes: all values of its curriculum, with a stop."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import Run, check_trained, read_scalars, wait_for
from tfagents_system.environments import hooks
from tfagents_system.experiment import snapshots
from tfagents_system.experiment.generations import list_generations
from tfagents_system.experiment.services import LEARNER, worker_name

PARAMS = REPOSITORY / "tfagents_system" / "contact_insert_params.py"
CONFIG = REPOSITORY / "config" / "contact_insert.json"
NUM_ITER = 28
CURRICULUM = {
    "noise_level": {"iters": [0, 4, 8, 12, 16], "range": [0.0, 1.0]},
    "goalreach_steps": {"iters": [16, 18, 20, 22, 24], "range": [1, 10]},
}


def random_return(run: Run, num_episodes: int) -> float:
    """Returns the mean return of random actions, as the workers evaluate."""
    params = snapshots.load(run.experiment)
    env: Any = hooks.make_eval_env(params, worker=0, seed=0)
    rng = np.random.default_rng(0)
    rewards = []
    for _ in range(num_episodes):
        time_step = env.reset()
        while not time_step.is_last():
            time_step = env.step(rng.uniform(-1, 1, 6).astype(np.float32))
            rewards.append(float(time_step.reward))
    env.close()
    return sum(rewards) / num_episodes


@pytest.mark.timeout(400)
def test_it_is_trained_through_its_curriculum_and_beats_random_actions(
    tmp_path: Path,
) -> None:
    config = json.loads(CONFIG.read_text())
    config["curriculum"] = CURRICULUM
    config["train_params"] = {
        "num_iter": NUM_ITER,
        "n_buffer_init_episodes": 4,
        "n_eval_episodes": 10,
        "eval_period_itrs": NUM_ITER,
        "checkpoint_period_itrs": 5,
        "log_period_itrs": 5,
    }
    run = Run(tmp_path, PARAMS.read_text(), train_cpus="auto", **config)
    try:
        run.start_launcher()
        wait_for(lambda: list_generations(run.experiment), "a checkpoint")
        assert run.launcher is not None
        run.launcher.send_signal(signal.SIGINT)
        assert run.launcher.wait(60) == 128 + signal.SIGINT
        (saved, *_) = list_generations(run.experiment)
        run.start_launcher()
        wait_for(run.has_ended, "the end of the training", 240)
    finally:
        run.close()
    assert f"restored {saved.path}" in run.log(LEARNER)
    check_trained(run.experiment, NUM_ITER * 50)
    worker = run.worker()
    assert worker.curriculum == {"noise_level": 1.0, "goalreach_steps": 10}
    assert worker.eval_success_rate is not None
    log = run.log(worker_name(0))
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert f"'noise_level': {value}" in log
    for value in (1, 3, 5, 7, 10):
        assert f"'goalreach_steps': {value}" in log
    returns = read_scalars(run.experiment.eval_summaries(worker_name(0)))
    assert returns["Metrics/return"][-1][1] > random_return(run, 20)
