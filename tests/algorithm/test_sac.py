"""The agent: each hyperparameter reaches it, and it learns."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents.sac import sac_agent
from tf_agents.specs import tensor_spec

from tests.agents import (
    ShardedWithoutNoise,
    WithoutNoise,
    make_transitions,
    trained_variables,
)
from tests.conftest import PENDULUM_PARAMS
from tfagents_system.algorithm import sac
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.learning.build import build_agent
from tfagents_system.settings.hyperparameters import Execution


def build(load: Callable[..., Any], specs: Specs, **train_params: Any) -> Any:
    """Builds the agent with overridden attributes."""
    return build_agent(load(train_params=train_params), specs)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("discount", 0.5, lambda a: a._gamma),
        ("target_update_tau", 0.25, lambda a: a._target_update_tau),
        ("target_update_period", 7, lambda a: a._target_update_period),
        ("gradient_clipping", 2.0, lambda a: a._gradient_clipping),
        ("sac_log_alpha", -1.0, lambda a: a._log_alpha.numpy()),
        ("target_entropy", -3.5, lambda a: a._target_entropy),
        ("reward_scale_factor", 0.1, lambda a: a._reward_scale_factor),
        ("actor_learning_rate", 0.125, lambda a: a._actor_optimizer.learning_rate),
        ("critic_learning_rate", 0.125, lambda a: a._critic_optimizer.learning_rate),
        ("alpha_learning_rate", 0.125, lambda a: a._alpha_optimizer.learning_rate),
        ("normalize_observations", True, lambda a: a.normalizer is not None),
        (
            "activation",
            "tanh",
            lambda a: a._actor_network._encoder.layers[-1].activation.__name__,
        ),
        (
            "actor_fc_layer_params",
            [5],
            lambda a: [a._actor_network.variables[0].shape[1]],
        ),
        (
            "critic_joint_fc_layer_params",
            [5],
            lambda a: [a._critic_network_2.variables[0].shape[1]],
        ),
    ],
)
def test_attribute_reaches_the_agent(
    load: Callable[..., Any],
    pendulum: tuple[Any, Any, Specs],
    name: str,
    value: Any,
    read: Callable[[Any], Any],
) -> None:
    default = read(build(load, pendulum[2]))
    changed = read(build(load, pendulum[2], **{name: value}))
    assert np.all(changed == value)
    assert np.any(default != value)


@pytest.mark.parametrize(
    ("schedule", "fractions"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("cosine", [(1 + np.cos(np.pi * step / 4)) / 2 for step in range(5)]),
    ],
)
def test_learning_rates_follow_their_schedule_to_the_end_of_training(
    load: Callable[..., Any],
    pendulum: tuple[Any, Any, Specs],
    monkeypatch: pytest.MonkeyPatch,
    schedule: str,
    fractions: list[float],
) -> None:
    # With gradient descent a bias moves by the learning rate times its gradient.
    monkeypatch.setattr(tf.keras.optimizers, "Adam", tf.keras.optimizers.SGD)
    rates = {"actor": 0.005, "critic": 0.0025, "alpha": 0.00125}
    agent = build(
        load,
        pendulum[2],
        learning_rate_schedule=schedule,
        num_iter=2,
        num_steps_per_iter=2,
        **{f"{name}_learning_rate": rate for name, rate in rates.items()},
    )
    applied: list[tuple[float, float]] = []
    apply = agent._apply_gradients

    def record(gradients: Any, variables: Any, optimizer: Any) -> None:
        before = variables[-1].numpy()
        apply(gradients, variables, optimizer)
        step = before - variables[-1].numpy()
        applied.append((float(np.sum(step)), float(np.sum(gradients[-1]))))

    agent._apply_gradients = record
    for fraction in fractions:
        agent.train(make_transitions(RowCodec(pendulum[2]), 4, 1.0))
        for name, (step, gradient) in zip(("critic", "actor", "alpha"), applied):
            expected = rates[name] * fraction * gradient
            np.testing.assert_allclose(step, expected, rtol=1e-3, atol=1e-5)
        applied.clear()


def test_critic_learns_the_value_of_a_terminal_reward(
    load: Callable[..., Any], pendulum: tuple[Any, Any, Specs]
) -> None:
    agent = build(load, pendulum[2], critic_learning_rate=0.01)
    transitions = make_transitions(RowCodec(pendulum[2]), 64, discount=0.0)
    before = sac.diagnose(agent, transitions)
    train = tf.function(agent.train)
    for _ in range(200):
        train(transitions)
    after = sac.diagnose(agent, transitions)
    for critic in ("Q/critic_1", "Q/critic_2"):
        assert abs(float(after[critic]) - 1) < 0.1 < abs(float(before[critic]) - 1)
    assert int(agent.train_step_counter.numpy()) == 200


def test_truncated_step_bootstraps_and_terminal_does_not(
    load: Callable[..., Any], pendulum: tuple[Any, Any, Specs]
) -> None:
    agent = build(load, pendulum[2])
    codec = RowCodec(pendulum[2])
    for network in (agent._target_critic_network_1, agent._target_critic_network_2):
        network.variables[-1].assign([100.0])  # The bias: every Q value is near 100.
    losses = {
        discount: float(
            agent.loss(make_transitions(codec, 16, discount)).extra.critic_loss
        )
        for discount in (0.0, 1.0)
    }
    assert losses[0.0] < 10
    assert losses[1.0] > 1000


def test_combiner_feeds_a_nested_observation_to_all_networks(
    load: Callable[..., Any],
) -> None:
    params = load(
        PENDULUM_PARAMS
        + "        \n"
        + "import tensorflow as tf\n"
        + "TrainParams.preprocessing_combiner = tf.keras.layers.Lambda("
        + "lambda x: x['obs'])\n"
    )
    action = tensor_spec.BoundedTensorSpec((1,), tf.float32, -1.0, 1.0)
    specs = Specs(
        {
            "obs": tf.TensorSpec((3,), tf.float32),
            "aux": {"successful": tf.TensorSpec((), tf.bool)},
        },
        action,
    )
    agent = build_agent(params, specs)
    codec = RowCodec(specs)
    observation = {"obs": np.ones(3), "aux": {"successful": True}}
    row = codec.pack(observation, np.zeros(1), 1.0, 1.0, observation)
    transitions = codec.unpack(tuple(tf.constant(c)[None] for c in row))
    loss = agent.train(transitions)
    assert np.isfinite(loss.loss.numpy())
    assert agent._critic_network_1.variables[0].shape == (3 + 1, 16)


class _Unsharded(WithoutNoise, sac_agent.SacAgent):
    """TF-Agents' own agent."""

    def __init__(
        self, *args: Any, normalizer: None, execution: Execution, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize(("num_shards", "clipping"), [(1, None), (2, None), (3, 0.1)])
def test_sharded_update_is_tf_agents_update(
    load: Callable[..., Any],
    pendulum: tuple[Any, Any, Specs],
    monkeypatch: pytest.MonkeyPatch,
    num_shards: int,
    clipping: float | None,
) -> None:
    """64 transitions do not divide by 3: shards of different sizes."""
    agents = []
    # Adam's first steps have one length whatever the gradient, also for one that is
    # nothing but rounding.
    monkeypatch.setattr(tf.keras.optimizers, "Adam", tf.keras.optimizers.SGD)
    rates = {f"{name}_learning_rate": 0.01 for name in ("actor", "critic", "alpha")}
    settings = {**rates, "gradient_clipping": clipping, "target_update_period": 2}
    for cls in (_Unsharded, ShardedWithoutNoise):
        monkeypatch.setattr(sac, "ShardedSacAgent", cls)
        params = load(train_params=settings)
        agents.append(build_agent(params, pendulum[2], Execution(num_shards)))
    monkeypatch.undo()
    reference, sharded = agents

    def weights(agent: Any) -> list[Any]:
        return [*trained_variables(agent), agent.train_step_counter]

    for mine, theirs in zip(weights(sharded), weights(reference)):
        mine.assign(theirs)
    before = [variable.numpy() for variable in weights(reference)]
    transitions = make_transitions(RowCodec(pendulum[2]), 64, 1.0)
    for _ in range(3):
        # Eagerly: in a tf.function TF-Agents' critic loss may or may not see the
        # actor that this very step has updated.
        losses = [agent.train(transitions) for agent in agents]
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *losses
        )
    for old, mine, theirs in zip(before, weights(sharded), weights(reference)):
        assert np.any(old != theirs.numpy())
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("noise_seed", [None, 3])
def test_shards_draw_noise_of_their_own(
    pendulum: tuple[Any, Any, Specs], noise_seed: int | None
) -> None:
    params, _, specs = pendulum
    agent: Any = build_agent(params, specs, Execution(2, noise_seed))
    drawn = []
    sample = agent._actions_and_log_probs

    def record(time_steps: Any, training: bool = False) -> Any:
        actions, log_pi = sample(time_steps, training)
        drawn.append(actions.numpy())
        return actions, log_pi

    agent._actions_and_log_probs = record
    half = make_transitions(RowCodec(pendulum[2]), 16, 1.0)
    agent.train(tf.nest.map_structure(lambda t: tf.concat([t, t], 0), half))
    assert len(drawn) == 6  # Critic, actor and alpha of two shards.
    assert not np.allclose(drawn[0], drawn[1])


def test_noise_follows_from_its_seed_and_the_train_step(
    pendulum: tuple[Any, Any, Specs],
) -> None:
    params, _, specs = pendulum
    transitions = make_transitions(RowCodec(specs), 16, 1.0)
    initial = trained_variables(build_agent(params, specs))

    def loss(noise_seed: int, train_step: int) -> float:
        agent = build_agent(params, specs, Execution(2, noise_seed))
        for variable, value in zip(trained_variables(agent), initial):
            variable.assign(value)
        agent.train_step_counter.assign(train_step)
        return float(agent.train(transitions).loss)

    expected = loss(noise_seed=3, train_step=7)
    assert loss(noise_seed=3, train_step=7) == pytest.approx(expected, rel=1e-6)
    assert loss(noise_seed=4, train_step=7) != pytest.approx(expected, rel=1e-4)
    assert loss(noise_seed=3, train_step=8) != pytest.approx(expected, rel=1e-4)
