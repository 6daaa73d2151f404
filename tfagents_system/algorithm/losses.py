"""What a critic's error costs, by the name of a hyperparameter."""

from __future__ import annotations

import math

import tensorflow as tf


def log_cosh(target: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Returns log(cosh(error)): half the square of a small error, linear in others."""
    error = value - target
    return error + tf.math.softplus(-2.0 * error) - math.log(2.0)


CRITIC_LOSSES = {"squared": tf.math.squared_difference, "log_cosh": log_cosh}
