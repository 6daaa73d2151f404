"""An agent on disk: one rule for what a resumed training takes over.

Networks, target networks, alpha, the optimizers' state, statistics of observations and
train_step are restored. Learning rates are settings: they stay as they are in the
agent, though Keras keeps them with the optimizers' state.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tf_agents.agents import tf_agent

from tfagents_system.errors import UserError

# TF-Agents converts the former to the latter.
OPTIMIZERS = (tf.keras.optimizers.Optimizer, tf.keras.optimizers.legacy.Optimizer)


class AgentWriter:
    """Writes an agent, again and again.

    Compiled, because TensorFlow loses 7 kB of memory with each eager write.
    """

    def __init__(self, agent: tf_agent.TFAgent) -> None:
        """Compiles nothing yet.

        Args:
          agent: The agent. When `write` is first called, its optimizers must have all
            their variables, as they have after a gradient step.
        """
        self._write = tf.function(
            tf.train.Checkpoint(agent=agent).write, autograph=False
        )

    def write(self, path: Path) -> None:
        """Writes the agent as it is now.

        Args:
          path: Prefix of the files.

        Raises:
          tf.errors.OpError: The disk is full, for example.
        """
        self._write(tf.constant(str(path)))


def restore(agent: tf_agent.TFAgent, path: Path, advice: str) -> None:
    """Restores an agent.

    Args:
      agent: The agent, just built.
      path: Prefix of the files.
      advice: How to begin another training, e.g. `choose a new --logdir`.

    Raises:
      UserError: The files do not fit the agent, as after its networks were changed.
    """
    _check_normalization(agent, path, advice)
    # Not `learning_rate`, which would make a variable: the checkpoint of a training
    # with a schedule has none.
    learning_rates = [
        (value, value.get_config()["learning_rate"])
        for value in vars(agent).values()
        if isinstance(value, OPTIMIZERS)
    ]
    try:
        status = tf.train.Checkpoint(agent=agent).read(str(path))
        # The optimizers make and restore their slots at the first step. A process
        # that takes none (prepare) need not be warned.
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        raise UserError(
            f"{path} does not fit the agent ({error}); were the networks changed, by "
            f"you or by another version of this package? Go back, or {advice}"
        ) from error
    for optimizer, learning_rate in learning_rates:
        if isinstance(optimizer.learning_rate, tf.Variable):  # Not a schedule.
            optimizer.learning_rate = learning_rate


def _check_normalization(agent: tf_agent.TFAgent, path: Path, advice: str) -> None:
    """Checks that observations are normalized, or not, as when it was saved.

    TensorFlow would silently ignore statistics that the agent does not use.
    """
    names = [name for name, _ in tf.train.list_variables(str(path))]
    was_on = any(name.startswith("agent/normalizer/") for name in names)
    is_on = getattr(agent, "normalizer", None) is not None
    if was_on != is_on:
        raise UserError(
            f"{path} was trained with normalize_observations {was_on}, not {is_on}; "
            f"set it back, or {advice}"
        )
