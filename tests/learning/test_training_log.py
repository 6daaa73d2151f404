"""What is logged of gradient steps."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.end_to_end.harness import read_scalars
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import LearnerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import ScalarWriter
from tfagents_system.learning.training_log import Counts, TrainingLog


def test_losses_totals_and_rates_are_written_against_both_steps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tfagents_system")
    experiment = Experiment(tmp_path)
    status = StatusWriter(experiment, "learner", LearnerStatus)
    folder = experiment.train_summaries("learner")
    counts = [
        Counts(400, 2, 300, train_steps_per_sec=5.0, env_steps_per_sec=7.5),
        Counts(600, 3, 500, train_steps_per_sec=6.0, env_steps_per_sec=8.0),
    ]
    log = TrainingLog(ScalarWriter(folder, status), lambda: counts.pop(0))
    log.add({"Losses/critic_loss": 0.25, "Q/critic_1": -3.0}, train_step=20)
    log.add({"Losses/critic_loss": 0.125}, train_step=30)
    log.flush()
    by_train_step = {
        "Losses/critic_loss": [(20, 0.25), (30, 0.125)],
        "Q/critic_1": [(20, -3.0)],
        "Metrics/train_steps_per_sec": [(20, 5.0), (30, 6.0)],
        "Metrics/env_steps_per_sec": [(20, 7.5), (30, 8.0)],
        "Metrics/env_steps": [(20, 400.0), (30, 600.0)],
        "Metrics/episodes": [(20, 2.0), (30, 3.0)],
        "Metrics/train_steps": [(20, 20.0), (30, 30.0)],
        "Metrics/replay_size": [(20, 300.0), (30, 500.0)],
    }
    env_steps = {20: 400, 30: 600}
    by_env_step = {
        tag.replace("/", "_vs_env_step/"): [(env_steps[s], v) for s, v in points]
        for tag, points in by_train_step.items()
    }
    assert read_scalars(folder) == {**by_train_step, **by_env_step}
    lines = [r.getMessage() for r in caplog.records if r.name.endswith("training_log")]
    assert lines == [
        "train step 20, env steps 400, 5 and 8 a second; critic_loss 0.25, critic_1 -3",
        "train step 30, env steps 600, 6 and 8 a second; critic_loss 0.125",
    ]
