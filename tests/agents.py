"""What tests of agents share."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfagents_system.algorithm import sac
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.learning.build import build_agent
from tfagents_system.settings.hyperparameters import Execution


class LentAgent:
    """An agent, and all of its variables as they were in the beginning."""

    def __init__(self, agent: Any) -> None:
        """Remembers the variables, those of the optimizers too."""
        agent.create_optimizer_variables()
        # TF-Agents takes a gradient step op by op where nobody compiles it.
        agent._train_fn = tf.function(agent._train, autograph=False)
        self.agent = agent
        parts = tf.train.TrackableView(agent).descendants()
        variables = [part for part in parts if isinstance(part, tf.Variable)]
        for update in agent._updates():
            variables += update.optimizer.variables()
        self._initial = [(variable, variable.numpy()) for variable in variables]

    def reset(self) -> None:
        """Makes it the untrained agent again."""
        for variable, value in self._initial:
            variable.assign(value)


# Agents that no test has at the moment, by their settings.
_IDLE_AGENTS: dict[str, list[LentAgent]] = {}


class Lender:
    """Lends agents to a test; to compile the code of another takes seconds."""

    def __init__(self) -> None:
        """Has lent none."""
        self._lent: list[tuple[str, LentAgent]] = []

    def __call__(
        self, params: Any, specs: Any, execution: Execution | None = None
    ) -> Any:
        """Returns an untrained agent, as `build_agent` does; each time another one."""
        params.execution = execution or Execution()
        key = repr((sorted(vars(params).items()), specs))
        idle = _IDLE_AGENTS.setdefault(key, [])
        lent = idle.pop() if idle else None
        if lent is None:
            lent = LentAgent(build_agent(params, specs, params.execution))
        lent.reset()
        self._lent.append((key, lent))
        return lent.agent

    def take_back(self) -> None:
        """Ends the test's use of all that it has."""
        for key, lent in self._lent:
            _IDLE_AGENTS[key].append(lent)


def trained_variables(agent: Any) -> list[tf.Variable]:
    """Returns the weights of all networks, targets included, and log(alpha)."""
    networks = (
        agent._actor_network,
        agent._critic_network_1,
        agent._critic_network_2,
        agent._target_critic_network_1,
        agent._target_critic_network_2,
    )
    variables = [v for network in networks for v in network.variables]
    return [*variables, agent._log_alpha]


def make_transitions(codec: RowCodec, count: int, discount: float) -> Any:
    """Returns transitions of Pendulum whose reward is 1 whatever the action."""
    rng = np.random.default_rng(0)
    packed = [
        codec.pack(
            rng.normal(size=3), rng.uniform(-2, 2, 1), 1.0, discount, rng.normal(size=3)
        )
        for _ in range(count)
    ]
    return codec.unpack(tuple(tf.constant(np.stack(column)) for column in zip(*packed)))


class WithoutNoise:
    """Replaces the sampled actions by the modes: two agents then see the same."""

    def _actions_and_log_probs(self, time_steps: Any, training: bool = False) -> Any:
        agent: Any = self
        policy = agent._train_policy if training else agent._policy
        distribution = policy.distribution(time_steps).action
        normal = distribution.input_distribution  # Before squashing.
        return distribution.mode(), normal.log_prob(normal.mean())


class ShardedWithoutNoise(WithoutNoise, sac.ShardedSacAgent):
    """The framework's agent."""
