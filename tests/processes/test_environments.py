"""Environments of every kind, from the params file to the video.

Prepare step, replay server, learner and worker run in this process, each with the code
of its own; tests/end_to_end has them apart.
"""

from __future__ import annotations

import concurrent.futures
import io
import json
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.harness import check_trained, check_video
from tests.end_to_end.test_environments import HORIZON, PARAMS, TRAIN_STEPS
from tests.experiments import make_experiment
from tests.learning.helpers import serve
from tfagents_system import run as run_script
from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import rate_limiter
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments import hooks
from tfagents_system.experiment import services, snapshots, status_writer
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run
from tfagents_system.experiment.status_file import (
    CollectWorkerStatus,
    Phase,
    read_worker,
)
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.host import threads
from tfagents_system.processes import collect_worker, learner, prepare, startup
from tfagents_system.train_params_base import TrainParamsBase

NAME = services.worker_name(0)


def work(experiment: Experiment, params: TrainParamsBase, run: Run) -> None:
    """Collects and evaluates until training is complete."""
    generator = np.random.default_rng(0)
    env = hooks.make_collect_env(params, worker=0, seed=0)
    eval_env = hooks.make_eval_env(params, 0, 1, env)
    status = StatusWriter(experiment, NAME, CollectWorkerStatus)
    worker = collect_worker.make_worker(
        experiment, params, (env, eval_env), generator, run, status, NAME
    )
    worker.run(RandomPolicy(env.action_spec(), generator), generator)


def train(
    folder: Path, port: int, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Experiment:
    """Trains to the end; returns the experiment."""
    experiment = make_experiment(folder)
    (folder / "params.py").write_text(PARAMS)
    (folder / "config.json").write_text(json.dumps(config))
    prepare.prepare(experiment, folder / "params.py", folder / "config.json")
    params = snapshots.load(experiment)
    run = Run(port, str(folder), services=(), run_id=uuid.uuid4().hex)
    run.save(experiment)
    codec = RowCodec.of(params, Specs.load(experiment.specs))
    server = serve(experiment, codec, port, rate_limiter.make_pacing(params, codec))
    stop = threading.Event()
    monkeypatch.setattr(startup, "STOP", stop)
    monkeypatch.setattr(startup, "open_experiment", lambda: experiment)
    monkeypatch.setattr(threads, "num_cpus", lambda: 1)  # It compiles faster.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        learning = pool.submit(learner.main)
        try:
            work(experiment, params, run)
        finally:
            stop.set()
        assert learning.result(60) == 0
    server.stop()
    return experiment


def film(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Returns what run.py says of the episode that it films."""
    command = ["run.py", "--json", "--num_episodes=1", f"--exp_dir={experiment.root}"]
    monkeypatch.setattr(sys, "argv", command)
    output = io.StringIO()
    run_script.evaluate(run_script.parse_args(), output)
    (episode,) = json.loads(output.getvalue())["episodes"]
    check_video(episode["video"])
    return dict(episode)


@pytest.mark.parametrize(
    ("name", "train_params"),
    [
        ("dm_control/pendulum-swingup", {}),
        ("memory", {"recurrent": True}),
        ("history", {"n_step_returns": 3, "seed_sac_buffer": False}),
    ],
)
def test_training_and_video(
    tmp_path: Path,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    train_params: dict[str, Any],
) -> None:
    config = {"env": name, "horizon": HORIZON, "train_params": train_params}
    with caplog.at_level("INFO", status_writer.logger.name):
        experiment = train(tmp_path, free_port, config, monkeypatch)
    check_trained(experiment, TRAIN_STEPS)
    began_randomly = Phase.WARMING_UP.value in caplog.text
    assert began_randomly == train_params.get("seed_sac_buffer", True)
    episode = film(experiment, monkeypatch)
    assert 0 < episode["length"] <= HORIZON
    assert episode["is_success"] is read_worker(experiment, NAME).eval_success_rate
