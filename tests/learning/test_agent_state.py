"""What of an agent is saved comes back, and settings stay settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents.ddpg import critic_rnn_network

from tests.learning.helpers import make_batch, trained_weights
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.learning import agent_state
from tfagents_system.learning.agent_state import AgentWriter
from tfagents_system.learning.build import build_agent

ADVICE = "begin another one"


class Saved:
    """An agent on disk, and how to build it again."""

    def __init__(self, folder: Path, params: Any, specs: Any) -> None:
        self.params, self._specs = params, specs
        self.codec = RowCodec(specs)
        self.path = folder / "learner"

    def build(self) -> Any:
        """Builds an agent as the params say now."""
        return build_agent(self.params, self._specs)

    def train_and_write(self, num_steps: int = 1) -> Any:
        """Writes an agent after a few gradient steps."""
        agent = self.build()
        for seed in range(num_steps):
            agent.train(make_batch(self.codec, seed))
        AgentWriter(agent).write(self.path)
        return agent

    def restore(self) -> Any:
        """Restores it into an agent as the params say now."""
        agent = self.build()
        agent_state.restore(agent, self.path, ADVICE)
        return agent


def train_alike(agents: list[Any], batch: Any) -> None:
    """Takes a gradient step of each, with the same noise."""
    for agent in agents:
        tf.random.set_seed(0)
        agent.train(batch)
    tf.random.set_seed(None)


@pytest.fixture
def saved(pendulum: tuple[Any, Any, Any], tmp_path: Path) -> Saved:
    """Returns what an agent of Pendulum can be saved with."""
    return Saved(tmp_path, pendulum[0], pendulum[2])


def test_a_restored_agent_goes_on_as_the_one_that_was_saved(saved: Saved) -> None:
    agent = saved.train_and_write(num_steps=3)
    restored = saved.restore()
    assert int(restored.train_step_counter.numpy()) == 3
    for before, after in zip(trained_weights(agent), trained_weights(restored)):
        np.testing.assert_array_equal(before, after)
    # The next step moves the weights alike only if the optimizers came back too.
    train_alike([agent, restored], make_batch(saved.codec, 9))
    for before, after in zip(trained_weights(agent), trained_weights(restored)):
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_a_writer_writes_the_agent_as_it_is_each_time(saved: Saved) -> None:
    agent = saved.train_and_write()
    writer = AgentWriter(agent)
    for train_step in (2, 3):
        agent.train(make_batch(saved.codec, train_step))
        writer.write(saved.path)
        restored = saved.restore()
        assert int(restored.train_step_counter.numpy()) == train_step
        for before, after in zip(trained_weights(agent), trained_weights(restored)):
            np.testing.assert_array_equal(before, after)


def test_changed_network_is_refused_with_the_advice(saved: Saved) -> None:
    saved.train_and_write()
    saved.params.actor_fc_layer_params = (8,)
    message = f"networks changed.* Go back, or {ADVICE}"
    with pytest.raises(UserError, match=message) as error:
        saved.restore()
    assert str(saved.path) in str(error.value)


def test_recurrent_networks_of_another_version_are_refused_in_one_line(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.params.recurrent = True
    saved.params.actor_fc_layer_params = (16, 16)
    saved.params.critic_joint_fc_layer_params = (16, 16)

    def make_former_critic(observation_spec: Any, action_spec: Any) -> Any:
        return critic_rnn_network.CriticRnnNetwork(
            (observation_spec, action_spec),
            joint_fc_layer_params=(16, 16),
            lstm_size=(16,),
            output_fc_layer_params=None,
        )

    with monkeypatch.context() as patch:
        patch.setattr(saved.params, "critic_ctor", make_former_critic)
        AgentWriter(saved.build()).write(saved.path)
    with pytest.raises(UserError, match="another version") as error:
        saved.restore()
    assert "\n" not in str(error.value)


def test_changed_learning_rate_is_applied_and_moments_come_back(saved: Saved) -> None:
    agent = saved.train_and_write()
    saved.params.critic_learning_rate = 0.125
    restored = saved.restore()
    train_alike([agent, restored], make_batch(saved.codec, 1))
    optimizer = restored._critic_optimizer
    assert float(optimizer.learning_rate) == 0.125
    assert float(restored._actor_optimizer.learning_rate) == pytest.approx(3e-4)
    assert int(optimizer.iterations) == 2
    for before, after in zip(
        agent._critic_network_1.trainable_variables,
        restored._critic_network_1.trainable_variables,
    ):
        for moment in ("m", "v"):  # Of the same gradients as before.
            np.testing.assert_allclose(
                agent._critic_optimizer.get_slot(before, moment),
                optimizer.get_slot(after, moment),
                atol=1e-7,
            )
        assert not np.allclose(before, after, atol=0.01)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("linear", "linear", 0.5 * 3e-4),
        ("linear", "constant", 3e-4),
        ("constant", "linear", 0.5 * 3e-4),
    ],
)
def test_learning_rate_schedule_goes_on_where_it_was(
    saved: Saved, before: str, after: str, expected: float
) -> None:
    saved.params.num_iter, saved.params.num_steps_per_iter = 1, 4
    saved.params.learning_rate_schedule = before
    saved.train_and_write(num_steps=2)
    saved.params.learning_rate_schedule = after
    restored = saved.restore()
    assert int(restored.train_step_counter.numpy()) == 2
    log_alpha = float(restored._log_alpha)
    slots = restored._alpha_optimizer
    rate = slots._decayed_lr(tf.float32)
    assert float(rate) == pytest.approx(expected)
    restored.train(make_batch(saved.codec, 2))
    assert int(slots.iterations) == 3
    # Adam's step is at most about as long as the learning rate.
    assert 0 < abs(float(restored._log_alpha) - log_alpha) < 1.5 * expected


@pytest.mark.parametrize("was_on", [True, False])
def test_normalization_comes_back_and_cannot_be_switched(
    saved: Saved, was_on: bool
) -> None:
    saved.params.normalize_observations = was_on
    agent = saved.train_and_write()
    restored = saved.restore()
    if was_on:
        assert int(agent.normalizer.count.numpy()) == 8
        for mine, theirs in zip(
            restored.normalizer.variables, agent.normalizer.variables
        ):
            np.testing.assert_array_equal(mine, theirs)
    saved.params.normalize_observations = not was_on
    message = (
        f"normalize_observations {was_on}, not {not was_on}; set it back, or {ADVICE}"
    )
    with pytest.raises(UserError, match=message) as error:
        saved.restore()
    assert "\n" not in str(error.value)
