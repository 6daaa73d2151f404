"""The loop of the one-process mode: an env step, a gradient step, and so on."""

from __future__ import annotations

import contextlib
import re
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import LendAgent
from tests.end_to_end.harness import read_scalars
from tests.learning.helpers import train_step_of_model, trained_weights
from tfagents_system.algorithm.specs import read_specs
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments import hooks
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.one_process import trainer as trainer_module
from tfagents_system.one_process.flags import Loop
from tfagents_system.one_process.progress import Progress
from tfagents_system.one_process.trainer import Trainer
from tfagents_system.settings.hyperparameters import Execution

WARM_UP_STEPS = 5
LOOP: dict[str, Any] = {
    "iterations": 12,
    "buffer_size": 1000,
    "warm_up_steps": WARM_UP_STEPS,
    "seed": 0,
    "episodes_per_eval": 1,
    "max_to_keep": 2,
    "checkpoint_interval": 1000,
    "log_interval": 1000,
}


@pytest.fixture
def make(
    load: Any, lend_agent: LendAgent, tmp_path: Path
) -> Iterator[Callable[..., Trainer]]:
    """Yields a function that makes a trainer of Pendulum, with what it overrides."""
    trainers: list[Trainer] = []
    params = load(horizon=200)
    experiment = Experiment(tmp_path / "runs")
    experiment.make()
    identity.claim(experiment, identity.Mode.ONE_PROCESS)

    def make_trainer(
        trainer_class: type[Trainer] = Trainer,
        n_step_returns: int = 1,
        stop: threading.Event | None = None,
        check_place: Callable[[], None] = lambda: None,
        **loop: int,
    ) -> Trainer:
        params.n_step_returns = n_step_returns
        env = hooks.make_collect_env(params, 0, 0)
        specs = read_specs(env)
        tf.keras.utils.set_random_seed(0)
        agent = lend_agent(params, specs, Execution(noise_seed=0))
        tf.random.set_seed(None)
        trainer = trainer_class(
            params,
            agent,
            (env, hooks.make_eval_env(params, 0, 1, env)),
            RowCodec.of(params, specs),
            experiment,
            Loop(**{**LOOP, **loop}),
            stop,
            check_place=check_place,
        )
        trainers.append(trainer)
        return trainer

    yield make_trainer
    for trainer in trainers:
        trainer.gradient_steps.close()


def iterate(trainer: Trainer, count: int) -> None:
    """Takes iterations."""
    for _ in range(count):
        trainer.iterate()


def test_each_env_step_after_the_warm_up_has_a_gradient_step(
    make: Callable[..., Trainer],
) -> None:
    trainer = make()
    assert not trainer.restore()
    iterate(trainer, WARM_UP_STEPS)
    assert (trainer.iteration, trainer.train_step) == (WARM_UP_STEPS, 0)
    iterate(trainer, 3)
    assert (trainer.iteration, trainer.train_step) == (WARM_UP_STEPS + 3, 3)
    assert trainer.buffer.num_added == WARM_UP_STEPS + 3
    assert trainer.collector.num_episodes == 1


def test_a_restored_training_goes_on_as_the_one_that_was_saved(
    make: Callable[..., Trainer], tmp_path: Path
) -> None:
    saved = make(checkpoint_interval=8)
    iterate(saved, 8)
    assert (tmp_path / "runs" / "ckpt-8.json").exists()
    # A resumed training begins with a new episode, so this one does too.
    assert saved.collector.is_between_episodes
    restored = make(checkpoint_interval=8)
    assert restored.restore()
    assert (restored.iteration, restored.train_step) == (8, 3)
    assert restored.collector.num_episodes == 1
    for trainer in (saved, restored):
        iterate(trainer, 3)
        trainer.finish_learning()
    for mine, theirs in zip(saved.buffer.read(0, 11), restored.buffer.read(0, 11)):
        np.testing.assert_array_equal(mine, theirs)
    pairs = zip(trained_weights(saved.agent), trained_weights(restored.agent))
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def watch_actors(trainer: Trainer) -> list[str]:
    """Returns the names of the policies that act, one for each env step to come."""
    actors: list[str] = []

    def watch(name: str) -> None:
        policy = getattr(trainer, name)
        act = policy.act

        def watched(time_step: Any) -> Any:
            actors.append(name)
            return act(time_step)

        policy.act = watched

    for name in ("random_policy", "policy", "greedy_policy"):
        watch(name)
    return actors


def test_actions_are_random_in_the_warm_up_and_the_policys_after_it(
    make: Callable[..., Trainer],
) -> None:
    trainer = make()
    actors = watch_actors(trainer)
    iterate(trainer, WARM_UP_STEPS + 3)
    assert actors == ["random_policy"] * WARM_UP_STEPS + ["policy"] * 3
    actors.clear()
    trainer.evaluate()
    assert set(actors) == {"greedy_policy"}


def test_training_explores_and_evaluation_does_not(
    make: Callable[..., Trainer],
) -> None:
    trainer = make(warm_up_steps=0)
    iterate(trainer, 3)
    trainer.finish_learning()
    trainer.greedy_policy.reset()  # It takes over the newest weights.
    time_step = trainer.eval_env.reset()
    explored = {float(trainer.policy.act(time_step)[0]) for _ in range(9)}
    greedy = {float(trainer.greedy_policy.act(time_step)[0]) for _ in range(9)}
    assert (len(explored), len(greedy)) == (9, 1)
    batched = tf.nest.map_structure(lambda array: np.asarray(array)[None], time_step)
    mode = trainer.agent.policy.distribution(batched).action.mode()
    assert greedy.pop() == pytest.approx(float(mode[0, 0]), abs=1e-4)


def test_an_episode_begins_at_the_iteration_of_its_train_step(
    make: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    trainer = make(warm_up_steps=0, checkpoint_interval=4)
    trainer.params.num_steps_per_iter = 2
    begin = trainer.collector.begin_episode

    def begin_episode(policy: Any, iteration: int, rng: Any) -> None:
        begun.append(iteration)
        begin(policy, iteration, rng)

    monkeypatch.setattr(trainer.collector, "begin_episode", begin_episode)
    iterate(trainer, 9)
    assert begun == [0, 2, 4]  # After 0, 4 and 8 gradient steps.


def test_n_step_returns_reach_the_replay(make: Callable[..., Trainer]) -> None:
    trainer = make(n_step_returns=3)
    iterate(trainer, 4)
    assert trainer.buffer.num_added == 2  # The last two steps lead nowhere yet.


def test_an_evaluation_is_logged_and_changes_nothing(
    make: Callable[..., Trainer], tmp_path: Path
) -> None:
    trainer = make()
    iterate(trainer, WARM_UP_STEPS + 2)
    trainer.finish_learning()
    state = trainer.rng.bit_generator.state
    weights = trained_weights(trainer.agent)
    trainer.evaluate()
    assert trainer.rng.bit_generator.state == state
    for before, after in zip(weights, trained_weights(trainer.agent)):
        np.testing.assert_array_equal(before, after)
    evaluations = read_scalars(tmp_path / "runs" / "eval" / "sac")
    assert evaluations["Metrics/episode_length"] == [(2, 200.0)]
    assert [step for step, _ in evaluations["Metrics_vs_env_step/return"]] == [7]
    scalars = read_scalars(tmp_path / "runs" / "train" / "sac")
    assert {"Losses/critic_loss", "Losses/alpha", "Q/critic_1"} <= scalars.keys()
    assert scalars["Metrics_vs_env_step/replay_size"] == [(7, 7.0)]
    # The same weights at the same iteration: the same episodes.
    trainer.evaluate()
    again = read_scalars(tmp_path / "runs" / "eval" / "sac")
    (_, first), (_, second) = again["Metrics/return"]
    assert first == second


def test_a_full_disk_costs_a_checkpoint_and_not_the_training(
    make: Callable[..., Trainer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make()
    iterate(trainer, 2)
    trainer.save()
    iterate(trainer, 2)
    with full_disk():
        assert not trainer.save()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch("error: no checkpoint: .* File too large", line)
    restored = make()
    assert restored.restore()
    assert restored.iteration == 2
    iterate(trainer, 2)
    trainer.save()
    assert (tmp_path / "runs" / "ckpt-6.json").exists()


def test_what_is_not_finite_is_not_saved(
    make: Callable[..., Trainer], tmp_path: Path
) -> None:
    trainer = make()
    iterate(trainer, WARM_UP_STEPS + 1)
    trainer.finish_learning()
    trainer.agent._log_alpha.assign(np.nan)
    with pytest.raises(UserError, match="a weight is inf or nan at train step 1"):
        trainer.save()
    assert not list((tmp_path / "runs").glob("ckpt-*"))


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Lets no file grow beyond 100 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class Ending(Trainer):
    """Ends on a full disk, and says what it says to a test."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines: list[str] = []
        self.on_retry: Callable[[], None] = lambda: None
        self.progress = Heard(self)


class Heard(Progress):
    """Tells an ending what it says."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.loop.iterations)
        self._ending = ending

    def print(self, line: str) -> None:
        self._ending.lines.append(line)
        if line.startswith("trying again"):
            self._ending.on_retry()


def test_the_end_is_saved_once_the_disk_has_room(
    saved_models: None,
    make: Callable[..., Trainer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer_module, "SAVE_RETRY_SECS", 0.01)
    # The end is at a checkpoint of its own, which fails first.
    trainer = make(Ending, iterations=2, checkpoint_interval=2)
    assert isinstance(trainer, Ending)
    with contextlib.ExitStack() as stack:
        stack.enter_context(full_disk())
        trainer.on_retry = stack.close
        trainer.run()
    errors = [line for line in trainer.lines if line.startswith("error: ")]
    # The checkpoint, and the first try at the end.
    assert len(errors) == 2
    assert not trainer.has_given_up
    assert (tmp_path / "runs" / "ckpt-2.json").exists()
    policies = tmp_path / "runs" / "policies"
    assert (policies / "greedy_policy" / "saved_model.pb").is_file()


def test_a_signal_gives_up_the_end_on_a_full_disk(
    make: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(Ending, iterations=2)
    assert isinstance(trainer, Ending)
    trainer.on_retry = trainer.stop.set
    with full_disk():
        trainer.run()
    assert trainer.has_given_up
    assert trainer.lines[-1] == "trying again in 10 s; Ctrl-C gives it up"


def test_a_checkpoint_that_is_there_is_not_written_over(
    make: Callable[..., Trainer], tmp_path: Path
) -> None:
    trainer = make()
    iterate(trainer, 2)
    assert trainer.save()
    index = tmp_path / "runs" / "ckpt-2.index"
    inode = index.stat().st_ino
    restored = make()
    assert restored.restore()
    for again in (trainer, restored):
        assert again.save()
    assert index.stat().st_ino == inode


def test_a_place_that_is_lost_ends_it_before_anything_is_written(
    make: Callable[..., Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"

    def check_place() -> None:
        if not root.exists():
            raise UserError("moved")

    monkeypatch.setattr(trainer_module, "PLACE_PERIOD_SECS", 0.0)
    trainer = make(check_place=check_place)
    iterate(trainer, 2)
    root.rename(tmp_path / "moved")
    for write in (trainer.iterate, trainer.save, trainer.run):
        with pytest.raises(UserError, match="moved"):
            write()
    assert not root.exists()


class Stopping(Trainer):
    """Is stopped in its seventh iteration."""

    def learn(self) -> None:
        super().learn()
        if self.iteration == 7:
            self.stop.set()


def test_a_stop_ends_it_after_the_iteration_with_a_checkpoint(
    saved_models: None, make: Callable[..., Trainer], tmp_path: Path
) -> None:
    stop = threading.Event()
    trainer = make(Stopping, stop=stop, checkpoint_interval=6)
    trainer.run()
    assert stop.is_set()
    assert (trainer.iteration, trainer.train_step) == (7, 2)
    assert (tmp_path / "runs" / "ckpt-7.json").exists()
    policies = tmp_path / "runs" / "policies"
    # Not those of the first checkpoint.
    assert train_step_of_model(policies / "greedy_policy") == 2
    assert (policies / "checkpoints" / "policy_checkpoint_0000000002").is_dir()
