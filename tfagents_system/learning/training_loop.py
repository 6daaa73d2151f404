"""The learner's iterations: gradient steps, and what follows them."""

from __future__ import annotations

from tf_agents.agents import tf_agent

from tfagents_system.dataflow.variables import (
    PUBLISH_PERIOD_TRAIN_STEPS,
    PolicyPublisher,
)
from tfagents_system.learning.gradient_steps import GradientSteps
from tfagents_system.learning.saver import Saver
from tfagents_system.learning.training_log import TrainingLog
from tfagents_system.settings.hyperparameters import Hyperparameters


class TrainingLoop:
    """Trains until training is complete.

    All methods but `stop` belong to the training thread: a thread that waits in
    TensorFlow or Reverb runs no signal handlers, so it must not be the main one.
    """

    def __init__(
        self,
        params: Hyperparameters,
        agent: tf_agent.TFAgent,
        gradient_steps: GradientSteps,
        publisher: PolicyPublisher,
        saver: Saver,
        log: TrainingLog,
    ) -> None:
        """Does nothing yet.

        Args:
          params: Lengths and periods.
          agent: The agent, already restored.
          gradient_steps: Trains that agent.
          publisher: Publishes its policy.
          saver: Saves it.
          log: Logs losses.
        """
        self._params, self._agent = params, agent
        self._gradient_steps = gradient_steps
        self._publisher, self._saver, self._log = publisher, saver, log
        self._is_stopping = False

    @property
    def train_step(self) -> int:
        """Gradient steps done."""
        return int(self._agent.train_step_counter.numpy())

    @property
    def is_complete(self) -> bool:
        """Whether all gradient steps of the training are done."""
        return self.train_step >= self._params.total_train_steps

    def run(self) -> None:
        """Runs iterations until training is complete or `stop` is called."""
        while not self.is_complete and not self._is_stopping:
            self._iterate()

    def stop(self) -> None:
        """Ends `run` before its next gradient step; may be called by any thread."""
        self._is_stopping = True
        self._gradient_steps.stop()

    def _iterate(self) -> None:
        """Takes the gradient steps of an iteration; publishes, logs and saves."""
        params = self._params
        left = params.num_steps_per_iter - self.train_step % params.num_steps_per_iter
        while left > 0:
            num_steps = min(left, PUBLISH_PERIOD_TRAIN_STEPS)
            self._gradient_steps.run(num_steps)
            if self._is_stopping:
                return
            self._gradient_steps.check_finite()
            self._publisher.publish()
            left -= num_steps
        iteration = params.iteration_at(self.train_step)
        if iteration % params.log_period_itrs == 0:
            losses = self._gradient_steps.take_losses()
            losses.update(self._gradient_steps.diagnose())
            self._log.add(losses, self.train_step)
        # The last checkpoint follows the end of training.
        if iteration % params.checkpoint_period_itrs == 0 and not self.is_complete:
            self._saver.save()
            self._log.flush()
