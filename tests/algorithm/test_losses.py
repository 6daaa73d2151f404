"""The losses of the critics."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tests.learning.helpers import make_batch
from tfagents_system.algorithm.losses import CRITIC_LOSSES, log_cosh
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.learning.build import build_agent
from tfagents_system.settings import hyperparameters


def test_log_cosh_is_right_and_does_not_overflow() -> None:
    errors = np.array([-3.0, -0.01, 0.0, 0.5, 2.0], np.float32)
    values = log_cosh(tf.zeros(5), tf.constant(errors))
    np.testing.assert_allclose(values, np.log(np.cosh(errors)), atol=1e-6)
    large = log_cosh(tf.zeros(2), tf.constant([-1000.0, 1000.0]))
    np.testing.assert_allclose(large, 1000 - np.log(2), rtol=1e-6)


def test_each_name_is_a_setting_that_the_agent_learns_with(
    pendulum: tuple[Any, Any, Any],
) -> None:
    params, _, specs = pendulum
    assert all(hyperparameters.CRITIC_LOSS.is_valid(name) for name in CRITIC_LOSSES)
    losses = {}
    for name in CRITIC_LOSSES:
        params.critic_loss = name
        tf.keras.utils.set_random_seed(0)
        agent = build_agent(params, specs)
        loss = agent.train(make_batch(RowCodec(specs), 0)).extra.critic_loss
        losses[name] = float(loss)
    assert 0 < losses["log_cosh"] < losses["squared"] / 1.5
