"""The compiled part of the learner: sample, unpack, train, many times."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable

import tensorflow as tf
from numpy.typing import NDArray
from tf_agents.agents import tf_agent
from tf_agents.utils import common

from tfagents_system.algorithm import sac
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError

LOSSES = ("loss", "critic_loss", "actor_loss", "alpha_loss")


class GradientSteps:
    """Many gradient steps in one compiled function."""

    def __init__(
        self,
        agent: tf_agent.TFAgent,
        codec: RowCodec,
        dataset: Iterable[Any] | None = None,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Compiles nothing yet; that happens at the first call.

        Args:
          agent: The agent to train.
          codec: Layout of the rows.
          dataset: Endless batches of packed rows, for `run`; None: `step` gets each.
          after_step: Adds to the graph what follows each step of `run`.
        """
        self._agent = agent
        self._codec = codec
        self._iterator: Any = None if dataset is None else iter(dataset)
        self._stop = tf.Variable(False, name="stop")
        self._means = {name: tf.keras.metrics.Mean(name) for name in LOSSES}
        self._after_step = after_step
        self._has_begun = False
        # Only the loop needs AutoGraph, which takes longer to translate TF-Agents than
        # all the rest of compiling takes. TF-Agents compiles its code without.
        self._compiled_run = tf.function(self._run)
        self._compiled_step = common.function(self._step)
        self._compiled_is_finite = common.function(self._is_finite)
        self._compiled_diagnose = common.function(self._diagnose)

    def run(self, num_steps: int) -> None:
        """Takes gradient steps; waits for experience where the replay has too little.

        Args:
          num_steps: How many; fewer are taken after `stop`.

        Raises:
          UserError: A loss became NaN or infinite.
        """
        self._begin()
        with self._finite_losses():
            self._compiled_run(self._iterator, tf.constant(num_steps, tf.int64))

    def step(self, columns: Sequence[NDArray[Any]]) -> None:
        """Takes one gradient step.

        Args:
          columns: A batch of packed rows, as `RowCodec.unpack` takes it.

        Raises:
          UserError: A loss became NaN or infinite.
        """
        self._begin()
        with self._finite_losses():
            self._compiled_step(tuple(columns))

    def _begin(self) -> None:
        """Makes what the first step needs, once: the agent is restored by then."""
        if not self._has_begun and isinstance(self._agent, sac.ShardedSacAgent):
            self._agent.create_optimizer_variables()
        self._has_begun = True

    @contextlib.contextmanager
    def _finite_losses(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.InvalidArgumentError as error:
            loss = re.search(r"\w+ loss is inf or nan", error.message)
            if loss is None:
                raise
            raise self._not_finite(loss.group()) from error

    def check_finite(self) -> None:
        """Checks all weights: one that is not finite must not be published or saved.

        Raises:
          UserError: A weight is NaN or infinite.
        """
        if not self._compiled_is_finite():
            raise self._not_finite("a weight is inf or nan")

    def _not_finite(self, what: str) -> UserError:
        return UserError(
            f"{what} at train step {int(self._agent.train_step_counter.numpy())}; "
            "nothing of it was saved. Rewards and observations were finite: try "
            "smaller learning rates, gradient_clipping, or a smaller reward scale"
        )

    def take_losses(self) -> dict[str, float]:
        """Returns the mean of each loss since the last call."""
        losses = {
            f"Losses/{name}": float(mean.result())
            for name, mean in self._means.items()
            if mean.count.numpy() > 0
        }
        for mean in self._means.values():
            mean.reset_state()
        return losses

    def diagnose(
        self, columns: Sequence[NDArray[Any]] | None = None
    ) -> dict[str, float]:
        """Measures alpha and the Q values on a batch; None: the dataset's next."""
        batch = next(self._iterator) if columns is None else tuple(columns)
        scalars = self._compiled_diagnose(batch)
        return {name: float(value) for name, value in scalars.items()}

    def stop(self) -> None:
        """Ends `run` before its next gradient step, even while it waits for data."""
        self._stop.assign(True)

    def allow(self) -> None:
        """Lets `run` take steps again after `stop`."""
        self._stop.assign(False)

    def _run(self, iterator: Any, num_steps: tf.Tensor) -> None:
        for _ in tf.range(num_steps):
            columns = next(iterator)
            # TensorFlow orders only what touches the same resource: without this the
            # stop would be read, and train_step counted, before the data is there.
            with tf.control_dependencies(columns):
                is_stopping = self._stop.read_value()
            if is_stopping:
                break
            self._compiled_step(columns)
            self._after_step()

    def _step(self, columns: tuple[tf.Tensor, ...]) -> None:
        loss = self._agent.train(self._codec.unpack(columns))
        self._means["loss"].update_state(loss.loss)
        for name in LOSSES[1:]:
            if hasattr(loss.extra, name):
                self._means[name].update_state(getattr(loss.extra, name))

    def _is_finite(self) -> tf.Tensor:
        return tf.reduce_all(
            [
                tf.reduce_all(tf.math.is_finite(variable))
                for variable in self._agent.variables
                if variable.dtype.is_floating
            ]
        )

    def _diagnose(self, columns: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        return sac.diagnose(self._agent, self._codec.unpack(columns))
