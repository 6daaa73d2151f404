"""Joint checkpoints: what is saved comes back, and only whole ones count."""

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
from numpy.typing import NDArray

from tests.agents import trained_variables
from tfagents_system.algorithm import sac
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import replay, rows
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.errors import NotSaved, UserError
from tfagents_system.experiment import generations
from tfagents_system.experiment.directory import Experiment, write_json
from tfagents_system.learning import checkpoint, policy_export

PACING = Pacing(capacity=100, min_size=1, samples_per_insert=4.0, slack_samples=400.0)


def transition(codec: rows.RowCodec, seed: int) -> Any:
    """Returns a random batch of 8 transitions of Pendulum."""
    rng = np.random.default_rng(seed)
    packed = [
        codec.pack(rng.normal(size=3), rng.uniform(-2, 2, 1), 1.0, 1.0, np.ones(3))
        for _ in range(8)
    ]
    return codec.unpack(tuple(tf.constant(np.stack(column)) for column in zip(*packed)))


def trained_weights(agent: Any) -> list[NDArray[Any]]:
    """Returns the values of all that is trained."""
    return [variable.numpy() for variable in trained_variables(agent)]


def serve(
    experiment: Experiment, codec: rows.RowCodec, port: int, pacing: Pacing = PACING
) -> reverb.Server:
    """Starts a replay server as the process does."""
    tables = replay.make_tables(codec, pacing)
    checkpoint.restore_replay_files(experiment, codec, tables[0])
    return reverb.Server(
        tables,
        port=port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(experiment.replay)),
    )


def save(
    experiment: Experiment, agent: Any, client: reverb.Client, codec: rows.RowCodec
) -> bool:
    """Saves both parts one after the other; returns whether there was need to."""
    train_step = checkpoint.LearnerState(agent).write(experiment)
    if train_step is None:
        return False
    checkpoint.complete(experiment, train_step, client, codec)
    return True


def write_rows(port: int, codec: rows.RowCodec, count: int) -> None:
    """Writes some rows."""
    writer = replay.ExperienceWriter(
        replay.connect(port), codec, np.random.default_rng(0), shuffle_items=1
    )
    for _ in range(count):
        writer.write(codec.pack(np.ones(3), np.ones(1), 1.0, 1.0, np.ones(3)), print)
    writer.flush(print)


@pytest.fixture
def begun(
    pendulum: tuple[Any, Any, Any], tmp_path: Path
) -> tuple[Experiment, rows.RowCodec, Any]:
    """Returns an experiment without checkpoints, its codec and an untrained agent."""
    params, _, specs = pendulum
    agent = sac.build_agent(params, specs)
    return Experiment(tmp_path / "exp"), rows.RowCodec(specs), agent


def test_learner_and_replay_come_back_together(
    pendulum: tuple[Any, Any, Any],
    begun: tuple[Experiment, rows.RowCodec, Any],
    free_port: int,
) -> None:
    experiment, codec, agent = begun
    params, _, specs = pendulum
    for seed in range(3):
        agent.train(transition(codec, seed))
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, 24)
    for worker, episodes in enumerate((3, 4)):
        status = {"worker_episodes": episodes}
        write_json(experiment.status(f"collect_worker_{worker}"), status)
    assert save(experiment, agent, replay.connect(free_port), codec)
    assert not save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    (generation,) = generations.list_generations(experiment)
    assert (generation.train_step, generation.env_steps) == (3, 24)
    assert generation.episodes == 3 + 4

    # What Reverb saved later, without a learner's checkpoint beside it, is not used.
    shutil.rmtree(experiment.replay)
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, 8)
    replay.connect(free_port).checkpoint()
    server.stop()

    server = serve(experiment, codec, free_port)
    info = replay.read_replay(replay.connect(free_port))
    server.stop()
    assert info is not None
    assert (info.num_rows, info.num_inserts) == (24, 24)

    restored = sac.build_agent(params, specs)
    assert checkpoint.restore_learner(experiment, restored) == 3
    # The next step moves the weights alike only if the optimizers came back too.
    for trained in (agent, restored):
        tf.random.set_seed(0)
        trained.train(transition(codec, 9))
    assert int(restored.train_step_counter.numpy()) == 4
    for before, after in zip(trained_weights(agent), trained_weights(restored)):
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_two_generations_are_kept_and_half_a_one_is_not_used(
    begun: tuple[Experiment, rows.RowCodec, Any], free_port: int
) -> None:
    experiment, codec, agent = begun
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, 8)
    client = replay.connect(free_port)
    for seed in range(3):
        agent.train(transition(codec, seed))
        assert save(experiment, agent, client, codec)
    # Reverb deletes its new checkpoint if anything else lies in its folder.
    assert len(list(experiment.replay.iterdir())) == 1
    server.stop()
    assert [g.train_step for g in generations.list_generations(experiment)] == [3, 2]
    (experiment.checkpoints / "generation_0000000003" / "manifest.json").unlink()
    (experiment.checkpoints / "partial").mkdir()
    assert [g.train_step for g in generations.list_generations(experiment)] == [2]


def test_save_without_a_server_keeps_the_last_generation(
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int
) -> None:
    params, _, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    agent = sac.build_agent(params, specs)
    with pytest.raises(NotSaved, match="no checkpoint"):
        save(experiment, agent, replay.connect(free_port), rows.RowCodec(specs))
    assert generations.list_generations(experiment) == []


def test_changed_network_is_refused(
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int
) -> None:
    params, _, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    agent = sac.build_agent(params, specs)
    codec = rows.RowCodec(specs)
    server = serve(experiment, codec, free_port)
    assert save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    params.actor_fc_layer_params = (8,)
    with pytest.raises(UserError, match="networks changed"):
        checkpoint.restore_learner(experiment, sac.build_agent(params, specs))


def test_changed_learning_rate_is_applied(
    pendulum: tuple[Any, Any, Any],
    begun: tuple[Experiment, rows.RowCodec, Any],
    free_port: int,
) -> None:
    experiment, codec, agent = begun
    params, _, specs = pendulum
    agent.train(transition(codec, 0))
    server = serve(experiment, codec, free_port)
    assert save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    params.critic_learning_rate = 0.125
    restored = sac.build_agent(params, specs)
    checkpoint.restore_learner(experiment, restored)
    restored.train(transition(codec, 1))
    assert float(restored._critic_optimizer.learning_rate) == 0.125
    assert float(restored._actor_optimizer.learning_rate) == pytest.approx(3e-4)
    assert int(restored._critic_optimizer.iterations) == 2


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("linear", "linear", 0.5 * 3e-4),
        ("linear", "constant", 3e-4),
        ("constant", "linear", 0.5 * 3e-4),
    ],
)
def test_learning_rate_schedule_goes_on_where_it_was(
    pendulum: tuple[Any, Any, Any],
    tmp_path: Path,
    free_port: int,
    before: str,
    after: str,
    expected: float,
) -> None:
    params, _, specs = pendulum
    params.num_iter, params.num_steps_per_iter = 1, 4
    params.learning_rate_schedule = before
    experiment, codec = Experiment(tmp_path / "exp"), rows.RowCodec(specs)
    agent = sac.build_agent(params, specs)
    for seed in range(2):
        agent.train(transition(codec, seed))
    server = serve(experiment, codec, free_port)
    assert save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    params.learning_rate_schedule = after
    restored = sac.build_agent(params, specs)
    assert checkpoint.restore_learner(experiment, restored) == 2
    log_alpha = float(restored._log_alpha)
    slots = restored._alpha_optimizer
    rate = slots._decayed_lr(tf.float32)
    assert float(rate) == pytest.approx(expected)
    restored.train(transition(codec, 2))
    assert int(slots.iterations) == 3
    # Adam's step is at most about as long as the learning rate.
    assert 0 < abs(float(restored._log_alpha) - log_alpha) < 1.5 * expected


@pytest.mark.parametrize("was_on", [True, False])
def test_normalization_comes_back_and_cannot_be_switched(
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int, was_on: bool
) -> None:
    params, _, specs = pendulum
    params.normalize_observations = was_on
    experiment, codec = Experiment(tmp_path / "exp"), rows.RowCodec(specs)
    agent = sac.build_agent(params, specs)
    agent.train(transition(codec, 0))
    server = serve(experiment, codec, free_port)
    assert save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    restored = sac.build_agent(params, specs)
    checkpoint.check_resume(experiment, restored, codec)
    if was_on:
        assert int(agent.normalizer.count.numpy()) == 8
        for mine, theirs in zip(
            restored.normalizer.variables, agent.normalizer.variables
        ):
            np.testing.assert_array_equal(mine, theirs)
    params.normalize_observations = not was_on
    message = f"normalize_observations {was_on}, not {not was_on}; set it back"
    with pytest.raises(UserError, match=message) as error:
        checkpoint.check_resume(experiment, sac.build_agent(params, specs), codec)
    assert "\n" not in str(error.value)


@pytest.fixture
def two_generations(
    begun: tuple[Experiment, rows.RowCodec, Any], free_port: int
) -> tuple[Experiment, Any, rows.RowCodec, int]:
    """Returns an experiment with generations 1 (of 8 rows) and 2 (of 16)."""
    experiment, codec, agent = begun
    server = serve(experiment, codec, free_port)
    for seed in range(2):
        write_rows(free_port, codec, 8)
        agent.train(transition(codec, seed))
        assert save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    return experiment, agent, codec, free_port


def replay_file(generation: Path, name: str) -> Path:
    """Returns one of Reverb's files of a generation."""
    (saved,) = (generation / "replay").iterdir()
    return saved / name


def flip_byte(path: Path) -> None:
    """Changes one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "learner truncated": lambda g: os.truncate(max(g.glob("learner.data-*")), 1000),
    "learner missing": lambda g: (g / "learner.index").unlink(),
    "chunks truncated": lambda g: os.truncate(replay_file(g, "chunks.tfrecord"), 10),
    "items empty": lambda g: os.truncate(replay_file(g, "items.tfrecord"), 0),
    "no DONE": lambda g: replay_file(g, "DONE").unlink(),
    "a bit flipped": lambda g: flip_byte(replay_file(g, "chunks.tfrecord")),
    "no replay": lambda g: shutil.rmtree(g / "replay"),
    "no manifest": lambda g: (g / "manifest.json").unlink(),
    "half a manifest": lambda g: os.truncate(g / "manifest.json", 30),
    "another manifest": lambda g: (g / "manifest.json").write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("first", ["learner", "replay server"])
def test_damaged_generation_is_moved_aside_and_the_one_before_is_used(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
    caplog: pytest.LogCaptureFixture,
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
    moved = [path.name for path in experiment.checkpoints.glob("damaged_*")]
    assert len(moved) == 1
    assert moved[0].startswith("damaged_generation_0000000002")
    assert "damaged checkpoint" in caplog.text


def test_a_file_that_cannot_be_read_is_no_damage(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, _, _ = two_generations
    manifest = generations.list_generations(experiment)[0].path / "manifest.json"
    manifest.unlink()
    manifest.mkdir()  # Reading it is an error of the operating system.
    with pytest.raises(OSError, match="Is a directory"):
        checkpoint.restore_learner(experiment, agent)
    assert not list(experiment.checkpoints.glob("damaged_*"))


def test_with_damaged_generations_only_the_learner_refuses_and_replay_starts_empty(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    for generation in generations.list_generations(experiment):
        DAMAGES["a bit flipped"](generation.path)
    with pytest.raises(UserError, match="no usable checkpoint is left"):
        checkpoint.restore_learner(experiment, agent)
    server = serve(experiment, codec, port)
    info = replay.read_replay(replay.connect(port))
    server.stop()
    assert info is not None
    assert info.num_rows == 0


def test_few_damaged_generations_are_kept(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    server = serve(experiment, codec, port)
    for seed in range(4):
        DAMAGES["half a manifest"](generations.list_generations(experiment)[0].path)
        checkpoint.restore_learner(experiment, agent)
        agent.train(transition(codec, seed))
        assert save(experiment, agent, replay.connect(port), codec)
    server.stop()
    assert len(list(experiment.checkpoints.glob("damaged_*"))) == 2


def test_foreign_files_do_no_harm(
    two_generations: tuple[Experiment, Any, rows.RowCodec, int],
) -> None:
    experiment, agent, codec, port = two_generations
    (experiment.checkpoints / "generation_copy").mkdir()
    (experiment.checkpoints / "generation_0000000009").write_text("a file")
    (experiment.checkpoints / "notes.txt").write_text("mine")
    server = serve(experiment, codec, port)
    # With this in its folder Reverb deletes the very checkpoint that it writes.
    (experiment.replay / "notes").mkdir()
    (experiment.replay / "aaa.txt").write_text("mine")
    agent.train(transition(codec, 7))
    assert save(experiment, agent, replay.connect(port), codec)
    server.stop()
    assert checkpoint.restore_learner(experiment, agent) == 3
    assert (experiment.checkpoints / "notes.txt").read_text() == "mine"
    (kept,) = experiment.root.glob("from_replay_aaa.txt_*")
    assert kept.read_text() == "mine"


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


def test_smaller_replay_keeps_the_newest_rows(
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int
) -> None:
    params, _, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    codec = rows.RowCodec(specs)
    server = serve(experiment, codec, free_port)
    writer = replay.ExperienceWriter(
        replay.connect(free_port), codec, np.random.default_rng(0), shuffle_items=1
    )
    for value in range(80):
        writer.write(codec.pack(np.ones(3), np.ones(1), value, 1.0, np.ones(3)), print)
    writer.flush(print)
    agent = sac.build_agent(params, specs)
    assert save(experiment, agent, replay.connect(free_port), codec)
    server.stop()
    pacing = Pacing(capacity=24, min_size=8, samples_per_insert=1e9, slack_samples=1e12)
    server = serve(experiment, codec, free_port, pacing)
    write_rows(free_port, codec, 8)  # A full table takes new rows.
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
    agent.train(transition(codec, 5))
    client = replay.connect(port)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(NotSaved, match="no checkpoint"):
            save(experiment, agent, client, codec)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    steps = [g.train_step for g in generations.list_generations(experiment)]
    assert steps == [2, 1]
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


def test_old_policy_checkpoints_go_but_for_the_best(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    for step in range(0, 1000, 100):
        path = experiment.policy_checkpoints / f"policy_checkpoint_{step:010d}"
        path.mkdir(parents=True)
    (experiment.policy_checkpoints / "policy_checkpoint_mine").mkdir()
    assert policy_export.best_checkpoint(experiment) is None
    write_json(
        experiment.status("collect_worker_0"),
        {"best_eval_return": 3.0, "best_eval_train_step": 290},
    )
    write_json(
        experiment.status("collect_worker_1"),
        {"best_eval_return": 2.0, "best_eval_train_step": 500},
    )
    policy_export.remove_old_checkpoints(experiment, num_kept=0)
    assert len(policy_export.list_checkpoints(experiment)) == 10
    policy_export.remove_old_checkpoints(experiment, num_kept=2)
    kept = [int(name[-10:]) for name in policy_export.list_checkpoints(experiment)]
    assert kept == [300, 800, 900]
    assert policy_export.find_checkpoint(experiment, "best").name.endswith("0300")
    assert (experiment.policy_checkpoints / "policy_checkpoint_mine").exists()


def test_exported_policy_is_found_and_acts_like_the_agent(
    pendulum: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    from tf_agents.policies import greedy_policy, py_tf_eager_policy

    params, env, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    agent = sac.build_agent(params, specs)
    exporter = policy_export.PolicyExporter(experiment, agent)
    exporter.export_saved_models()
    codec = rows.RowCodec(specs)
    for seed in range(3):
        agent.train(transition(codec, seed))
    exporter.export_checkpoint()
    path = policy_export.find_checkpoint(experiment, "latest")
    assert path.name == "policy_checkpoint_0000000003"
    assert policy_export.find_checkpoint(experiment, path.name) == path
    loaded = py_tf_eager_policy.SavedModelPyTFEagerPolicy(
        str(experiment.policies / "greedy_policy"), load_specs_from_pbtxt=True
    )
    loaded.update_from_checkpoint(str(path))
    own = py_tf_eager_policy.PyTFEagerPolicy(
        greedy_policy.GreedyPolicy(agent.policy), use_tf_function=True
    )
    time_step = env.reset()
    np.testing.assert_allclose(
        loaded.action(time_step).action, own.action(time_step).action, rtol=1e-6
    )


def test_missing_policy_checkpoint_lists_what_there_is(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    with pytest.raises(UserError, match="has training begun"):
        policy_export.find_checkpoint(experiment, "latest")
    (experiment.policy_checkpoints / "policy_checkpoint_0000000005").mkdir(parents=True)
    with pytest.raises(UserError, match="policy_checkpoint_0000000005"):
        policy_export.find_checkpoint(experiment, "policy_checkpoint_5")
