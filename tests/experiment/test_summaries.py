"""TensorBoard scalars over restarts and full disks, and the rates in them."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tfagents_system.experiment import status_file, summaries
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import LearnerStatus, Phase
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import ScalarWriter, Steps


def make_status(experiment: Experiment) -> StatusWriter[LearnerStatus]:
    return StatusWriter(experiment, "learner", LearnerStatus)


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Returns step and value of each scalar in a folder, in the order written."""
    scalars: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                scalars.setdefault(value.tag, []).append((event.step, number))
    return scalars


def test_each_scalar_is_against_train_steps_and_env_steps(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    folder = experiment.train_summaries("learner")
    writer = ScalarWriter(folder, make_status(experiment))
    writer.write({"Losses/loss": 1.5, "Metrics/unknown": None}, Steps(5, 1000))
    writer.write({"Losses/loss": 0.5}, Steps(10, 2000))
    writer.flush()
    assert read_scalars(folder) == {
        "Losses/loss": [(5, 1.5), (10, 0.5)],
        "Losses_vs_env_step/loss": [(1000, 1.5), (2000, 0.5)],
    }


def test_summaries_that_would_jump_back_are_not_written(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    folder = experiment.train_summaries("learner")
    status = make_status(experiment)
    writer = ScalarWriter(folder, status)
    for step in (100, 200, 300):
        writer.write({"Losses/loss": 1.0}, Steps(step, 10 * step))
    writer.flush()
    status.enter(Phase.STOPPED)
    # Resumes from train step 100, with the env steps of then.
    writer = ScalarWriter(folder, make_status(experiment))
    for step in (200, 300, 400):
        writer.write({"Losses/loss": 2.0}, Steps(step, 10 * step - 500))
    writer.flush()
    written = read_scalars(folder)
    steps = {tag: [step for step, _ in points] for tag, points in written.items()}
    assert steps["Losses/loss"] == [100, 200, 300, 300, 400]
    assert steps["Losses_vs_env_step/loss"] == [1000, 2000, 3000, 3500]


def test_each_folder_of_a_process_is_remembered_by_itself(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    status = make_status(experiment)
    training = ScalarWriter(experiment.train_summaries("learner"), status)
    evaluation = ScalarWriter(experiment.eval_summaries("learner"), status)
    training.write({"Metrics/return": 1.0}, Steps(300, 3000))
    evaluation.write({"Metrics/return": 1.0}, Steps(100, 1000))
    assert status.value.written_steps == {"train": (300, 3000), "eval": (100, 1000)}
    evaluation.write({"Metrics/return": 2.0}, Steps(200, 900))
    evaluation.flush()
    assert status.value.written_steps["eval"] == (200, 1000)
    written = read_scalars(experiment.eval_summaries("learner"))
    assert written == {
        "Metrics/return": [(100, 1.0), (200, 2.0)],
        "Metrics_vs_env_step/return": [(1000, 1.0)],
    }


def test_full_disk_does_not_end_a_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = Experiment(tmp_path)
    status = make_status(experiment)
    writer = ScalarWriter(experiment.train_summaries("learner"), status)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        for step in range(2000):
            writer.write({"Losses/loss": 1.0}, Steps(step, step))
        writer.flush()
        status.enter(Phase.TRAINING)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "status not written" in caplog.text
    status.enter(Phase.CHECKPOINTING)
    assert status_file.read_learner(experiment).phase is Phase.CHECKPOINTING


def test_rates_are_increases_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(
        "tfagents_system.experiment.summaries.time.monotonic", lambda: now[0]
    )
    meter = summaries.RateMeter(window_secs=10)
    assert meter.rates(5, 100) == (0.0, 0.0)
    now[0] = 5.0
    assert meter.rates(15, 200) == (2.0, 20.0)
    now[0] = 14.0  # The first point has left the window.
    assert meter.rates(15, 290) == (0.0, 10.0)
    now[0] = 15.0
    assert meter.rates(0, 290)[0] == 0.0  # A counter that went back has no rate.
    now[0] = 115.0  # Calls are rarer than the window is long.
    assert meter.rates(50, 490) == (0.5, 2.0)


def test_hyperparameters_are_on_tensorboards_page(tmp_path: Path) -> None:
    for discount in (0.9, 0.8):  # At each start; the last ones count.
        summaries.write_hyperparameters(
            tmp_path, {"discount": discount, "layers": (64, 64), "recurrent": False}
        )
    (path,) = tmp_path.iterdir()
    (value,) = (
        value
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    )
    plugin = value.metadata.plugin_data
    assert plugin.plugin_name == "hparams"
    start = HParamsPluginData.FromString(plugin.content).session_start_info
    assert dict(start.hparams)["discount"].number_value == 0.8
    assert dict(start.hparams)["layers"].string_value == "(64, 64)"
    assert dict(start.hparams)["recurrent"].bool_value is False
