"""One real training under real supervise: killed, stopped, resumed, evaluated.

The params file is written as for the archived framework: hooks without arguments,
an environment built by `suite_pybullet.load`, the seed as a keyword.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from saved_rows import SavedRows, find_losses, read_newest_generation

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import Run, read_frames, read_scalars, wait_for
from tests.learning.helpers import train_step_of_model
from tfagents_system.experiment import run_file, run_lock
from tfagents_system.experiment.generations import Generation, list_generations
from tfagents_system.experiment.services import LEARNER, REPLAY_SERVER, is_worker
from tfagents_system.experiment.status_file import Phase
from tfagents_system.learning import policy_export

NUM_ITER = 400
ARCHIVED_PARAMS = """
from tfagents_system.train_params_base import TrainParamsBase
from tf_agents.environments import suite_pybullet, PyEnvironment

NAME = 'InvertedPendulumSwingupBulletEnv-v0'

class TrainParams(TrainParamsBase):
  def __init__(self, env_config: dict):
    super(TrainParams, self).__init__(env_config)
    self.num_iter = 400
    self.num_steps_per_iter = 20
    self.n_train_episodes_per_iter = 1
    self.n_buffer_init_episodes = 5
    self.n_episodes_in_buffer = 600
    self.n_eval_episodes = 1
    self.train_batch_size = 32
    self.log_period_itrs = 5
    self.checkpoint_period_itrs = 20
    self.eval_period_itrs = 50
    self.actor_fc_layer_params = (32, 32)
    self.critic_joint_fc_layer_params = (32, 32)

  def env_ctor(self, *args, **kwargs):
    seed = kwargs.pop('seed', None)
    env: PyEnvironment = suite_pybullet.load(*args, **kwargs)
    if seed is not None:
      env.seed(int(seed))
    return env

  def collect_env_args_kwargs(self):
    return (NAME, ), dict(max_episode_steps=self.env_config['horizon'])

  def eval_env_args_kwargs(self):
    return (NAME, ), dict(max_episode_steps=self.env_config['horizon'])
"""
HORIZON = 50
LOG_PERIOD_TRAIN_STEPS = 5 * 20
WARM_UP_ROWS = 5 * HORIZON

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Yields a run that has trained for a little while; stops it in the end."""
    folder = tmp_path_factory.mktemp("training")
    run = Run(
        folder,
        ARCHIVED_PARAMS,
        workers=2,
        horizon=HORIZON,
        train_params={"n_policy_checkpoints": 5},
    )
    run.start_launcher()
    try:
        wait_for(lambda: run.train_step > 60 or run.has_ended(), "first steps", 240)
        yield run
    finally:
        run.close()


def test_training(run: Run, tmp_path: Path) -> None:
    # One scenario in one test: its steps build on each other.
    check_that_it_learns(run)
    check_processes(run)
    check_kills(run)
    stopped = check_stop(run)
    rows = saved_rows(run)
    check_resume(run, stopped)
    rows = check_power_cut(run, rows)
    check_done(run)
    assert find_losses(rows, saved_rows(run)) == []
    check_summaries(run)
    check_evaluation(run)
    check_more_iterations(run)


def check_that_it_learns(run: Run) -> None:
    assert run.train_step > 0
    rows = run.env_steps
    assert rows >= WARM_UP_ROWS
    wait_for(
        lambda: all(run.worker(worker).policy_train_step > 0 for worker in (0, 1)),
        "the workers to act with a newer policy",
    )
    before = run.env_steps
    wait_for(lambda: run.env_steps > before, "new rows")


def check_processes(run: Run) -> None:
    pids = run.pids()
    assert len(set(pids.values())) == len(run.services)
    planned = run_file.Run.load(run.experiment)
    assert planned.names == run.services
    for service in planned.services:
        process = psutil.Process(pids[service.name])
        assert sorted(process.cpu_affinity()) == sorted(service.cpus)
        parent = process.parent()
        assert parent is not None
        assert parent.name() == "supervise"
        environment = process.environ()
        assert environment["OMP_NUM_THREADS"] == str(len(service.cpus))
        if service.name == LEARNER:
            assert f"in {len(service.cpus)} shard(s)" in run.log(LEARNER)
        if is_worker(service.name):
            assert environment["SLURM_PROCID"] == service.name[-1]


def count_warm_ups(run: Run) -> int:
    """Counts how often a worker began to act randomly."""
    logs = [run.log(name) for name in run.services if is_worker(name)]
    return sum(log.count(Phase.WARMING_UP.value) for log in logs)


def check_position(run: Run, generation: Generation) -> None:
    """Checks that the learner's newest process went on from a generation.

    The first line that it logs of gradient steps is at the end of a log period.
    """

    def first_step() -> int | None:
        restored = run.log(LEARNER).rsplit("restored ", 1)[1]
        assert restored.startswith(str(generation.path)), restored[:200]
        line = re.search(r"train step (\d+), env steps", restored)
        return int(line[1]) if line else None

    num_periods = generation.train_step // LOG_PERIOD_TRAIN_STEPS + 1
    step = wait_for(first_step, "a line of gradient steps")
    assert step == num_periods * LOG_PERIOD_TRAIN_STEPS


def check_kills(run: Run) -> None:
    """What is in a joint checkpoint is never lost, and only its process restarts."""
    wait_for(lambda: list_generations(run.experiment), "a joint checkpoint")
    warm_ups = count_warm_ups(run)
    assert warm_ups > 0  # What must not come again has been there.
    for name in run.services:
        run.wait_until_training()
        before = run.pids()
        env_steps, train_step = run.env_steps, run.train_step
        acknowledged = list_generations(run.experiment)[0]
        os.kill(before[name], signal.SIGKILL)
        wait_for(run.is_replaced(name, before[name]), name)
        after = run.pids()
        others = [other for other in run.services if other != name]
        assert [after[o] for o in others] == [before[o] for o in others]
        if name == LEARNER:
            acknowledged = list_generations(run.experiment)[0]
        run.wait_until_training()
        if name == LEARNER:
            check_position(run, acknowledged)
        # Only what a process has since the checkpoint is lost with it.
        kept = acknowledged.env_steps if name == REPLAY_SERVER else env_steps
        assert run.env_steps >= kept
        kept = acknowledged.train_step if name == LEARNER else train_step
        assert run.train_step >= kept
        run.wait_for_progress()
    assert count_warm_ups(run) == warm_ups
    # supervise itself: its process must not be left beside a second one.
    before = run.pids()
    learner = psutil.Process(before[LEARNER])
    supervise = learner.parent()
    assert supervise is not None
    supervise.kill()
    wait_for(lambda: not learner.is_running(), "the learner to end with its supervise")
    wait_for(run.is_replaced(LEARNER, learner.pid), "a new learner")
    run.wait_until_training()
    run.wait_for_progress()


def check_stop(run: Run) -> Generation:
    assert run.launcher is not None
    started = time.monotonic()
    os.kill(run.launcher.pid, signal.SIGINT)
    assert run.launcher.wait(30) == 128 + signal.SIGINT
    assert time.monotonic() - started < 20
    run.assert_nothing_is_left()
    generation = list_generations(run.experiment)[0]
    assert generation.train_step == run.train_step  # Nothing learned was lost.
    assert generation.episodes > WARM_UP_ROWS / HORIZON
    status = run.call("scripts/status.sh", run.experiment.root).stdout
    assert ": stopped" in status
    return generation


def check_resume(run: Run, stopped: Generation) -> None:
    warm_ups = count_warm_ups(run)
    env_steps = run.env_steps
    restores = run.log("learner").count("restored")
    run.start_launcher()
    wait_for(
        lambda: run.log("learner").count("restored") > restores,
        "the learner to restore",
    )
    check_position(run, stopped)
    run.wait_until_training()
    assert run.train_step >= stopped.train_step
    assert run.env_steps >= env_steps
    run.wait_for_progress()
    assert count_warm_ups(run) == warm_ups
    # A second launcher on the same experiment is refused.
    second = run.call("launch_training.sh", run.variables)
    assert second.returncode == 2
    assert "is being trained by the launcher with pid" in second.stderr


def saved_rows(run: Run) -> SavedRows:
    """Returns the rows of the newest checkpoint; nothing may be running."""
    rows = read_newest_generation(run.experiment.root)
    assert rows is not None
    # The replay has room for all: none may leave it.
    assert len(rows.digests) == rows.num_inserts
    return rows


def check_power_cut(run: Run, rows_before: SavedRows) -> SavedRows:
    """All at once, and the newest checkpoint is damaged on top of it.

    Args:
      run: The run.
      rows_before: Rows of an earlier checkpoint.

    Returns:
      The rows of the checkpoint that training resumes from.
    """
    resumed_at = list_generations(run.experiment)[0].train_step
    wait_for(
        lambda: (
            [g.train_step > resumed_at for g in list_generations(run.experiment)]
            == [True, True]
        ),
        "two new checkpoints",
    )
    assert run.launcher is not None
    for pid in (run.launcher.pid, *run_lock.holders(run.experiment.lock)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.launcher.wait()
    wait_for(lambda: not run_lock.is_running(run.experiment), "the end of all")
    newest, previous = list_generations(run.experiment)
    assert newest.episodes >= previous.episodes
    newest_rows = saved_rows(run)
    aside = newest.path.rename(run.experiment.root / "aside")
    rows = saved_rows(run)  # Of the previous one.
    aside.rename(newest.path)
    assert find_losses(rows_before, rows) == find_losses(rows, newest_rows) == []
    (chunks,) = newest.path.glob("replay/*/chunks.tfrecord")
    chunks.write_bytes(chunks.read_bytes()[:-1])
    warm_ups = count_warm_ups(run)
    restores = run.log("learner").count("restored")
    run.start_launcher()
    wait_for(
        lambda: run.log("learner").count("restored") > restores,
        "the learner to restore",
    )
    check_position(run, previous)
    assert f"damaged checkpoint {newest.path}" in run.output.read_text()
    run.wait_until_training()
    assert run.train_step >= previous.train_step
    assert run.env_steps >= previous.env_steps
    wait_for(lambda: run.env_steps > previous.env_steps, "more rows")
    run.wait_for_progress()
    assert count_warm_ups(run) == warm_ups
    return rows


def check_done(run: Run) -> None:
    wait_for(run.has_ended, "the training to end", 400)
    assert run.train_step == NUM_ITER * 20
    assert run.experiment.done.exists()
    run.assert_nothing_is_left()
    for worker in (0, 1):
        assert run.worker(worker).phase is Phase.FINISHED
        assert run.worker(worker).eval_train_step == NUM_ITER * 20
    kept = policy_export.list_checkpoints(run.experiment)
    newest = [f"policy_checkpoint_{step:010d}" for step in range(6400, 8001, 400)]
    assert kept[-5:] == newest
    # One more: the best when the learner last cleared up. The final evaluation, which
    # comes later, may have found a better one.
    assert len(kept) <= 6
    best = policy_export.best_checkpoint(run.experiment)
    assert best in kept
    for name in ("greedy_policy", "collect_policy"):
        path = run.experiment.policies / name
        assert train_step_of_model(path) == NUM_ITER * 20
    again = run.call("launch_training.sh", run.variables)
    assert again.returncode == 0
    assert "already complete" in again.stdout
    assert run.train_step == NUM_ITER * 20


def check_more_iterations(run: Run) -> None:
    """`num_iter` is raised in the snapshot, after training was complete."""
    text = run.experiment.params.read_text()
    raised = text.replace(f"num_iter = {NUM_ITER}", f"num_iter = {NUM_ITER + 10}")
    run.experiment.params.write_text(raised)
    env_steps = run.env_steps
    restores = run.log("learner").count("restored")
    run.start_launcher()
    wait_for(run.has_ended, "the training to end again", 200)
    assert run.log("learner").count("restored") == restores + 1
    assert run.train_step == (NUM_ITER + 10) * 20
    assert run.env_steps > env_steps
    after, before = list_generations(run.experiment)
    assert after.episodes > before.episodes


def check_summaries(run: Run) -> None:
    learner = read_scalars(run.experiment.train_summaries("learner"))
    for tag in (
        "Losses/critic_loss",
        "Losses/actor_loss",
        "Losses/alpha_loss",
        "Losses/alpha",
        "Q/critic_1",
        "Q/critic_2",
        "Metrics/env_steps",
        "Metrics/train_steps_per_sec",
        "Metrics/env_steps_per_sec",
        "Metrics/replay_size",
        "Losses_vs_env_step/critic_loss",
    ):
        assert learner[tag], tag
        assert all(np.isfinite(value) for _, value in learner[tag])
    worker = read_scalars(run.experiment.train_summaries("collect_worker_0"))
    evaluation = read_scalars(run.experiment.eval_summaries("collect_worker_0"))
    for tag in ("Metrics/return", "Metrics/episode_length"):
        assert worker[tag]
        assert evaluation[tag][-1][0] == NUM_ITER * 20
    assert worker["Metrics/policy_lag_train_steps"]
    assert evaluation["Metrics_vs_env_step/return"][-1][0] > NUM_ITER * HORIZON / 2
    steps = [step for step, _ in evaluation["Metrics/return"]]
    assert steps == sorted(set(steps)), "an evaluation was repeated"


def check_evaluation(run: Run) -> None:
    exp_dir = run.experiment.root
    # Evaluation must do without Reverb.
    blocker = (
        "import sys, runpy; sys.modules['reverb'] = None; sys.argv = sys.argv[1:];"
    )
    blocker += " runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", blocker, "tfagents_system/run.py"]
    command += ["--params", str(exp_dir / "params.py")]
    command += ["--config", str(exp_dir / "config.json")]
    command += ["--exp_dir", str(exp_dir), "--num_episodes", "2", "--seed", "108"]
    result = subprocess.run(
        [*command, "--checkpoint", "latest", "--json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["checkpoint"] == "policy_checkpoint_0000008000"
    assert report["num_episodes"] == len(report["episodes"]) == 2
    for episode in report["episodes"]:
        assert 0 < episode["length"] <= HORIZON
        # Whether the pendulum moves is up to the policy.
        assert len(read_frames(episode["video"])) >= 6
    text = subprocess.run(
        [*command, "--checkpoint", "policy_checkpoint_0000008000", "--no_video"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.search(r"episode 1: return \S+, length \d+\n", text)
    assert re.search(r"return \S+ ± \S+, length", text)
