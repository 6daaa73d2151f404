"""The agent, built from params and specs."""

from __future__ import annotations

from typing import Any

from tensorflow.python.eager import context

from tfagents_system.learning import build
from tfagents_system.learning.build import build_agent
from tfagents_system.settings.hyperparameters import Execution


def test_an_agent_is_initialized_and_computes_as_the_process_says(
    pendulum: tuple[Any, Any, Any],
) -> None:
    params, _, specs = pendulum
    agent: Any = build_agent(params, specs, Execution(num_batch_shards=3))
    assert agent.num_shards == params.execution.num_batch_shards == 3
    assert agent.train_step_counter.numpy() == 0
    # Targets begin as copies.
    for critic, target in (
        (agent._critic_network_1, agent._target_critic_network_1),
        (agent._critic_network_2, agent._target_critic_network_2),
    ):
        for variable, copied in zip(critic.variables, target.variables):
            assert (variable.numpy() == copied.numpy()).all()


def test_the_initial_weights_follow_from_the_seed_and_nothing_else_does(
    pendulum: tuple[Any, Any, Any],
) -> None:
    params, _, specs = pendulum
    weights = []
    for seed in (1, 2, 1):
        with build.seeded_weights(seed):
            agent: Any = build.build_agent(params, specs)
        weights.append(agent._actor_network.variables[0].numpy())
        assert context.global_seed() is None
    assert (weights[0] == weights[2]).all()
    assert (weights[0] != weights[1]).any()
