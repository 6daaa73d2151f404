"""Builds the agent from params and specs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf
from tf_agents.agents import tf_agent

from tfagents_system.algorithm.specs import Specs
from tfagents_system.settings.hyperparameters import Execution
from tfagents_system.train_params_base import TrainParamsBase

DEFAULT_EXECUTION = Execution()


@contextlib.contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Makes the initial weights of an agent that is built meanwhile follow from a seed.

    No global TensorFlow seed is left: it would be baked into the policies that this
    process exports, and all who load them would act alike.
    """
    tf.keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        tf.random.set_seed(None)


def build_agent(
    params: TrainParamsBase, specs: Specs, execution: Execution = DEFAULT_EXECUTION
) -> tf_agent.TFAgent:
    """Builds and initializes the user's agent with a fresh train step.

    Args:
      params: The user's `TrainParams`.
      specs: Specs of the environment.
      execution: How this process computes gradient steps.
    """
    params.execution = execution
    train_step = tf.Variable(0, dtype=tf.int64, name="train_step", trainable=False)
    agent = params.agent_ctor(
        train_step, specs.observation, specs.action, specs.time_step
    )
    agent.initialize()
    return agent
