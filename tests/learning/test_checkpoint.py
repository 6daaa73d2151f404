"""Joint checkpoints: learner and replay come back together, and fit each other."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import reverb
import tensorflow as tf

from tests.learning.helpers import (
    make_batch,
    make_row,
    serve,
    trained_weights,
    write_rows,
)
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import replay, rows
from tfagents_system.dataflow.deadline import Line
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.errors import NotSaved, UserError
from tfagents_system.experiment import generations
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import CollectWorkerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.learning import checkpoint
from tfagents_system.learning.agent_state import AgentWriter
from tfagents_system.learning.build import build_agent

Begun = tuple[Experiment, rows.RowCodec, Any]


def save(
    experiment: Experiment, agent: Any, client: reverb.Client, codec: rows.RowCodec
) -> bool:
    """Saves both parts one after the other; returns whether there was need to."""
    writer = AgentWriter(agent)
    train_step = checkpoint.write_learner(experiment, agent, writer)
    if train_step is None:
        return False
    checkpoint.complete(experiment, train_step, client, Line(), codec)
    return True


def saved_steps(experiment: Experiment) -> list[int]:
    """Returns the train steps of the generations, the newest first."""
    return [g.train_step for g in generations.list_generations(experiment)]


def test_learner_and_replay_come_back_together(
    pendulum: tuple[Any, Any, Any], begun: Begun, free_port: int
) -> None:
    experiment, codec, agent = begun
    params, _, specs = pendulum
    for seed in range(3):
        agent.train(make_batch(codec, seed))
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, [make_row(codec)] * 24)
    for worker, episodes in enumerate((3, 4)):
        name = f"collect_worker_{worker}"
        status = StatusWriter(experiment, name, CollectWorkerStatus)
        with status.edit(write_now=True) as value:
            value.worker_episodes = episodes
    assert save(experiment, agent, replay.connect(free_port), codec)
    assert not save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    (generation,) = generations.list_generations(experiment)
    assert (generation.train_step, generation.env_steps) == (3, 24)
    assert generation.episodes == 3 + 4

    # What Reverb saved later, without a learner's checkpoint beside it, is not used.
    shutil.rmtree(experiment.replay)
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, [make_row(codec)] * 8)
    replay.connect(free_port).checkpoint()
    server.stop()

    server = serve(experiment, codec, free_port)
    info = replay.read_replay(replay.connect(free_port))
    server.stop()
    assert info is not None
    assert (info.num_rows, info.num_inserts) == (24, 24)

    restored = build_agent(params, specs)
    assert checkpoint.restore_learner(experiment, restored) == 3
    for before, after in zip(trained_weights(agent), trained_weights(restored)):
        np.testing.assert_array_equal(before, after)


def test_reverb_keeps_one_checkpoint_and_the_experiment_two_generations(
    begun: Begun, free_port: int
) -> None:
    experiment, codec, agent = begun
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, [make_row(codec)] * 8)
    client = replay.connect(free_port)
    for seed in range(3):
        agent.train(make_batch(codec, seed))
        assert save(experiment, agent, client, codec)
    # Reverb deletes its new checkpoint if anything else lies in its folder.
    assert len(list(experiment.replay.iterdir())) == 1
    server.stop()
    assert saved_steps(experiment) == [3, 2]


def test_save_without_a_server_makes_no_generation(
    begun: Begun, free_port: int
) -> None:
    experiment, codec, agent = begun
    with pytest.raises(NotSaved, match="no checkpoint"):
        save(experiment, agent, replay.connect(free_port), codec)
    assert generations.list_generations(experiment) == []


@pytest.fixture
def two_generations(
    begun: Begun, free_port: int
) -> tuple[Experiment, Any, rows.RowCodec, int]:
    """Returns an experiment with generations 1 (of 8 rows) and 2 (of 16)."""
    experiment, codec, agent = begun
    server = serve(experiment, codec, free_port)
    for seed in range(2):
        write_rows(free_port, codec, [make_row(codec)] * 8)
        agent.train(make_batch(codec, seed))
        assert save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    return experiment, agent, codec, free_port


def test_settings_that_do_not_fit_are_refused_with_what_to_do(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
    pendulum: tuple[Any, Any, Any],
) -> None:
    experiment, _, codec, _ = two_generations
    params, _, specs = pendulum
    checkpoint.check_resume(experiment, build_agent(params, specs), codec)
    params.normalize_observations = True
    message = "normalize_observations False, not True.* choose a new SAC_EXP_NAME"
    with pytest.raises(UserError, match=message):
        checkpoint.check_resume(experiment, build_agent(params, specs), codec)
    params.normalize_observations = False
    params.actor_fc_layer_params = (8,)
    message = "networks changed.* choose a new SAC_EXP_NAME"
    with pytest.raises(UserError, match=message):
        checkpoint.restore_learner(experiment, build_agent(params, specs))


def replay_file(generation: Path, name: str) -> Path:
    """Returns one of Reverb's files of a generation."""
    (saved,) = (generation / "replay").iterdir()
    return saved / name


DAMAGES: dict[str, Callable[[Path], object]] = {
    "learner truncated": lambda g: os.truncate(max(g.glob("learner.data-*")), 1000),
    "learner missing": lambda g: (g / "learner.index").unlink(),
    "items empty": lambda g: os.truncate(replay_file(g, "items.tfrecord"), 0),
    "no DONE": lambda g: replay_file(g, "DONE").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("first", ["learner", "replay server"])
def test_both_go_back_to_the_generation_before_a_damaged_one(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
    damage: str,
    first: str,
) -> None:
    experiment, agent, codec, port = two_generations
    generation = generations.list_generations(experiment)[0]
    DAMAGES[damage](generation.path)
    if first == "learner":
        assert checkpoint.restore_learner(experiment, agent) == 1
    server = serve(experiment, codec, port)
    info = replay.read_replay(replay.connect(port))
    server.stop()
    assert info is not None
    assert (info.num_rows, info.num_inserts) == (8, 8)
    assert checkpoint.restore_learner(experiment, agent) == 1


def test_with_damaged_generations_only_the_learner_refuses_and_replay_starts_empty(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    for generation in generations.list_generations(experiment):
        DAMAGES["learner truncated"](generation.path)
    with pytest.raises(UserError, match="no usable checkpoint is left"):
        checkpoint.restore_learner(experiment, agent)
    server = serve(experiment, codec, port)
    info = replay.read_replay(replay.connect(port))
    server.stop()
    assert info is not None
    assert info.num_rows == 0


def test_foreign_files_in_reverbs_folder_do_no_harm(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    server = serve(experiment, codec, port)
    # With this in its folder Reverb deletes the very checkpoint that it writes.
    (experiment.replay / "notes").mkdir()
    (experiment.replay / "aaa.txt").write_text("mine")
    agent.train(make_batch(codec, 7))
    assert save(experiment, agent, replay.connect(port), codec)
    server.stop()
    assert checkpoint.restore_learner(experiment, agent) == 3
    (kept,) = experiment.root.glob("from_replay_aaa.txt_*")
    assert kept.read_text() == "mine"


def test_a_clock_that_was_set_back_costs_no_checkpoint(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    server = serve(experiment, codec, port)
    # Reverb keeps the checkpoint with the largest name, the time, and removes others.
    (older,) = experiment.replay.iterdir()
    older.rename(experiment.replay / "2099-01-01T00:00:00.000000000+00:00")
    write_rows(port, codec, [make_row(codec)] * 8)
    agent.train(make_batch(codec, 7))
    assert save(experiment, agent, replay.connect(port), codec)
    server.stop()
    newest = generations.list_generations(experiment)[0]
    assert (newest.train_step, newest.env_steps) == (3, 24)
    with generations.locked(experiment):
        assert generations.newest_intact(experiment) == newest


def test_what_a_replay_server_that_starts_again_reads_is_left_to_it(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    files = sorted(experiment.replay.rglob("*"))
    assert files
    agent.train(make_batch(codec, 7))
    with pytest.raises(NotSaved, match="the replay server does not answer"):
        save(experiment, agent, replay.connect(port), codec)
    assert sorted(experiment.replay.rglob("*")) == files


def test_a_generation_that_cannot_be_read_is_not_replaced_by_an_empty_replay(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    items = replay_file(
        generations.list_generations(experiment)[0].path, "items.tfrecord"
    )
    items.unlink()
    items.symlink_to("/proc/self/mem")  # Reading its first byte is an I/O error.
    message = r"cannot read .*items\.tfrecord"
    with pytest.raises(UserError, match=message):
        serve(experiment, codec, port)
    with pytest.raises(UserError, match=message):
        checkpoint.restore_learner(experiment, agent)
    assert saved_steps(experiment) == [2, 1]


def test_changed_sizes_and_ratio_are_applied_to_a_restored_replay(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, _, codec, port = two_generations
    pacing = Pacing(
        capacity=1600, min_size=16, samples_per_insert=64.0, slack_samples=9000.0
    )
    server = serve(experiment, codec, port, pacing)
    table = replay.connect(port).server_info()[replay.EXPERIENCE_TABLE]
    server.stop()
    wanted = replay.make_tables(codec, pacing)[0].info
    assert table.max_size == wanted.max_size
    limiter, wanted_limiter = table.rate_limiter_info, wanted.rate_limiter_info
    for name in ("samples_per_insert", "min_diff", "max_diff", "min_size_to_sample"):
        assert getattr(limiter, name) == getattr(wanted_limiter, name), name
    assert limiter.insert_stats.completed * codec.rows_per_item == 16
    backlog = limiter.insert_stats.completed * 64 - limiter.sample_stats.completed
    assert backlog == (limiter.min_diff + limiter.max_diff) / 2
    # The generation itself is as it was: the files are links to it.
    assert generations.newest_intact(experiment) is not None


def test_smaller_replay_keeps_the_newest_rows(begun: Begun, free_port: int) -> None:
    experiment, codec, agent = begun
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, [make_row(codec, reward) for reward in range(80)])
    assert save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    pacing = Pacing(capacity=24, min_size=8, samples_per_insert=1e9, slack_samples=1e12)
    server = serve(experiment, codec, free_port, pacing)
    write_rows(free_port, codec, [make_row(codec)] * 8)  # A full table takes new rows.
    info = replay.read_replay(replay.connect(free_port))
    dataset = replay.make_dataset(free_port, codec, batch_size=16, prefetch_batches=1)
    rewards = {
        reward
        for columns in dataset.take(32)
        for reward in codec.unpack(columns).next_time_step.reward.numpy()
    }
    server.stop()
    assert info is not None
    assert (info.num_rows, info.num_inserts) == (24, 88)
    assert rewards == {*range(64, 80), 1.0}


def test_full_disk_costs_a_checkpoint_and_nothing_else(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    server = serve(experiment, codec, port)
    agent.train(make_batch(codec, 5))
    client = replay.connect(port)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(NotSaved, match="no checkpoint"):
            save(experiment, agent, client, codec)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved_steps(experiment) == [2, 1]
    assert save(experiment, agent, client, codec)
    server.stop()
    assert checkpoint.restore_learner(experiment, agent) == 3


def test_rows_of_another_layout_are_refused(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, _, port = two_generations
    other = rows.RowCodec(
        Specs(tf.TensorSpec((5,), tf.float32), tf.TensorSpec((1,), tf.float32))
    )
    with pytest.raises(UserError, match="rows of another layout"):
        serve(experiment, other, port)
    with pytest.raises(UserError, match="rows of another layout"):
        checkpoint.check_resume(experiment, agent, other)
