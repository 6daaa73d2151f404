"""An experiment directory that an earlier version wrote, resumed by this one.

That version's status files were untyped: their format is 1.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.harness import Run, read_scalars, wait_for
from tests.processes.door import unpack_written_before
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.generations import list_generations
from tfagents_system.experiment.services import LEARNER, worker_name
from tfagents_system.experiment.status_file import FORMAT, Phase
from tfagents_system.learning import policy_export

NUM_ITER = 60
# What its checkpoint and its statuses say.
TRAIN_STEP = 507
PUBLISHED_TRAIN_STEP = 500
ENV_STEPS = 7856
EPISODES = 37
EVAL_EPISODES = 5


def smallest_step(folder: Path) -> int:
    """Returns the smallest train step in a folder of event files."""
    scalars = read_scalars(folder)
    return min(
        step
        for tag, points in scalars.items()
        for step, _ in points
        if "_vs_env_step/" not in tag
    )


@pytest.mark.timeout(300)
def test_an_experiment_of_an_earlier_version_is_resumed(tmp_path: Path) -> None:
    before = Experiment(tmp_path / "before")
    unpack_written_before(before)
    run = Run(tmp_path, before.params.read_text(), horizon=200)
    before.root.rename(run.experiment.root)
    (generation,) = list_generations(run.experiment)
    assert (generation.train_step, generation.env_steps) == (TRAIN_STEP, ENV_STEPS)
    # Its statuses are read as they are.
    assert run.learner.format < FORMAT
    assert run.train_step == TRAIN_STEP
    assert run.worker().worker_episodes == EPISODES
    best_eval_return = run.worker().best_eval_return
    assert best_eval_return is not None
    status = run.call("scripts/status.sh", run.experiment.root)
    assert ": stopped" in status.stdout, status.stderr
    assert f"train steps {TRAIN_STEP}" in status.stdout
    config = {"horizon": 200, "train_params": {"num_iter": NUM_ITER}}
    run.experiment.config.write_text(json.dumps(config))
    try:
        run.start_launcher()
        wait_for(run.has_ended, "the end of the training", 240)
        run.assert_nothing_is_left()
    finally:
        run.close()

    assert f"restored {generation.path}" in run.log(LEARNER)
    steps = NUM_ITER * 10
    assert run.train_step == steps
    assert run.experiment.is_trained_for(steps)
    newest = list_generations(run.experiment)[0]
    assert newest.train_step == steps
    assert newest.env_steps > ENV_STEPS
    assert newest.episodes > EPISODES

    # Nothing was done again.
    name = worker_name(0)
    assert Phase.WARMING_UP.value not in run.log(name)
    assert smallest_step(run.experiment.train_summaries(LEARNER)) >= TRAIN_STEP
    # The replay has the policy that was published last, and workers may act with it.
    for folder in (
        run.experiment.train_summaries(name),
        run.experiment.eval_summaries(name),
    ):
        assert smallest_step(folder) >= PUBLISHED_TRAIN_STEP
    first_policy = policy_export.list_checkpoints(run.experiment)[0]
    assert int(first_policy.removeprefix("policy_checkpoint_")) >= TRAIN_STEP

    # What a worker remembers over its restarts.
    worker = run.worker()
    assert worker.format == FORMAT
    assert worker.worker_episodes > EPISODES
    assert worker.worker_eval_episodes > EVAL_EPISODES
    assert worker.eval_train_step == steps
    assert worker.best_eval_return is not None
    assert worker.best_eval_return >= best_eval_return
