"""Joint checkpoints: what is saved comes back, and only whole ones count."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reverb
import tensorflow as tf
from numpy.typing import NDArray

from tests.agents import trained_variables
from tfagents_system import checkpoint, policy_export
from tfagents_system.algorithm import sac
from tfagents_system.dataflow import replay, rows
from tfagents_system.dataflow.rate_limiter import ROWS_PER_ITEM, Pacing
from tfagents_system.errors import UserError
from tfagents_system.experiment import Experiment

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


def serve(experiment: Experiment, codec: rows.RowCodec, port: int) -> reverb.Server:
    """Starts a replay server as the process does."""
    checkpoint.restore_replay_files(experiment)
    return reverb.Server(
        replay.make_tables(codec, PACING),
        port=port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(experiment.replay)),
    )


def save(experiment: Experiment, agent: Any, client: reverb.Client) -> bool:
    """Saves both parts one after the other."""
    train_step = checkpoint.write_learner(experiment, agent)
    return train_step is not None and checkpoint.complete(
        experiment, train_step, client
    )


def write_rows(port: int, codec: rows.RowCodec, count: int) -> None:
    """Writes some rows."""
    writer = replay.ExperienceWriter(
        replay.connect(port), np.random.default_rng(0), ROWS_PER_ITEM
    )
    for _ in range(count):
        writer.write(codec.pack(np.ones(3), np.ones(1), 1.0, 1.0, np.ones(3)), print)
    writer.flush(print)


def test_learner_and_replay_come_back_together(
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int
) -> None:
    params, _, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    codec = rows.RowCodec(specs)
    agent = sac.build_agent(params, specs)
    for seed in range(3):
        agent.train(transition(codec, seed))
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, 24)
    assert save(experiment, agent, replay.connect(free_port))
    assert not save(experiment, agent, replay.connect(free_port))
    server.stop()
    assert [g.train_step for g in checkpoint.list_generations(experiment)] == [3]

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
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int
) -> None:
    params, _, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    codec = rows.RowCodec(specs)
    agent = sac.build_agent(params, specs)
    server = serve(experiment, codec, free_port)
    write_rows(free_port, codec, 8)
    client = replay.connect(free_port)
    for seed in range(3):
        agent.train(transition(codec, seed))
        assert save(experiment, agent, client)
    # Reverb deletes its new checkpoint if anything else lies in its folder.
    assert len(list(experiment.replay.iterdir())) == 1
    server.stop()
    assert [g.train_step for g in checkpoint.list_generations(experiment)] == [3, 2]
    (experiment.checkpoints / "generation_0000000003" / "manifest.json").unlink()
    (experiment.checkpoints / "partial").mkdir()
    assert [g.train_step for g in checkpoint.list_generations(experiment)] == [2]


def test_save_without_a_server_keeps_the_last_generation(
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int
) -> None:
    params, _, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    agent = sac.build_agent(params, specs)
    assert not save(experiment, agent, replay.connect(free_port))
    assert checkpoint.list_generations(experiment) == []


def test_changed_network_is_refused(
    pendulum: tuple[Any, Any, Any], tmp_path: Path, free_port: int
) -> None:
    params, _, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    agent = sac.build_agent(params, specs)
    server = serve(experiment, rows.RowCodec(specs), free_port)
    assert save(experiment, agent, replay.connect(free_port))
    server.stop()
    params.actor_fc_layer_params = (8,)
    with pytest.raises(UserError, match="networks changed"):
        checkpoint.restore_learner(experiment, sac.build_agent(params, specs))


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
