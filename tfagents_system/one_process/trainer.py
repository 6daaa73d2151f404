"""The loop of the one-process mode: an env step, a gradient step, and so on."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Callable

import numpy as np
from tf_agents.agents import tf_agent
from tf_agents.environments import py_environment
from tf_agents.policies import greedy_policy

from tfagents_system.acting import evaluation, observers
from tfagents_system.acting.logbook import Logbook
from tfagents_system.acting.policies import RandomPolicy, make_policy
from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments.standard import seed_episode
from tfagents_system.errors import NotSaved
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import ONE_PROCESS, Status
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import RateMeter, Steps
from tfagents_system.learning import policy_export
from tfagents_system.learning.training_log import Counts, TrainingLog
from tfagents_system.one_process.background_steps import BackgroundSteps
from tfagents_system.one_process.checkpoints import Checkpoints
from tfagents_system.one_process.collector import Collector
from tfagents_system.one_process.flags import Loop
from tfagents_system.one_process.progress import Progress
from tfagents_system.one_process.ring_buffer import RingBuffer
from tfagents_system.settings.curriculum import Curriculum
from tfagents_system.train_params_base import TrainParamsBase

NO_REVERB_PORT = 0
# Between tries to save the end of a training on a full disk.
SAVE_RETRY_SECS = 10.0
# Between looks whether the log directory is still there, beside those before a save.
PLACE_PERIOD_SECS = 1.0


class Trainer:
    """Trains an agent in one environment.

    A gradient step is computed while the next env step is taken, so the policy acts
    with weights that are one gradient step old. Subclass it to replace a part of the
    loop, such as `collect` or `learn`.

    Attributes:
      iteration: Env steps done.
      rng: Draws random actions, exploration, batches and the curriculum's values.
      collector: Acts in the training environment.
      buffer: The replay.
      stop: Ends `run` after the current iteration when it is set.
      progress: Shows how far training is.
      has_given_up: Whether `run` was stopped before it could save its end.
    """

    has_given_up = False

    def __init__(
        self,
        params: TrainParamsBase,
        agent: tf_agent.TFAgent,
        envs: tuple[py_environment.PyEnvironment, py_environment.PyEnvironment],
        codec: RowCodec,
        experiment: Experiment,
        loop: Loop,
        stop: threading.Event | None = None,
        *,
        check_place: Callable[[], None] = lambda: None,
    ) -> None:
        """Compiles nothing yet.

        Args:
          params: The user's hyperparameters.
          agent: What to train.
          envs: To train in and to evaluate in.
          codec: Layout of the rows.
          experiment: The log directory.
          loop: Lengths and intervals.
          stop: Ends `run`; None: one of its own.
          check_place: Called before writing; raises if the log directory is lost.
        """
        env, self.eval_env = envs
        self.params, self.agent, self.loop = params, agent, loop
        self.rng = np.random.default_rng(loop.seed)
        self.iteration = 0
        self.stop = stop or threading.Event()
        self.buffer = RingBuffer(codec, loop.buffer_size, NStep.of(params))
        self.policy = make_policy(agent.collect_policy, self.rng)
        self.random_policy = RandomPolicy(env.action_spec(), self.rng)
        greedy = greedy_policy.GreedyPolicy(agent.policy)
        self.greedy_policy = make_policy(greedy, self.rng)
        self.gradient_steps = BackgroundSteps(
            agent, codec, params.train_batch_size, self.policy
        )
        train_observers = params.train_observers_ctor(NO_REVERB_PORT)
        self._eval_observers = params.eval_observers_ctor()
        self.collector = Collector(
            env,
            Curriculum(params.env_config, env),
            self.buffer,
            observers.make_watchers(train_observers, params.replay_observer),
            loop.seed,
        )
        self.progress = Progress(loop.iterations)
        status = StatusWriter(experiment, ONE_PROCESS, Status)
        self._logbook = Logbook(
            experiment, ONE_PROCESS, status, train_observers, self._eval_observers
        )
        self._log = TrainingLog(self._logbook.train, self._count)
        self._rates = RateMeter()
        self._experiment, self._check_place = experiment, check_place
        self._exporter = policy_export.PolicyExporter(experiment, agent)
        self._checkpoints = Checkpoints(
            experiment, agent, self.buffer, loop.max_to_keep
        )
        self._saved_iteration, self._place_checked_at = 0, 0.0
        self._is_at_end = False

    @property
    def train_step(self) -> int:
        """Gradient steps done; waits for the one that is under way."""
        self.finish_learning()
        return int(self.agent.train_step_counter.numpy())

    def _count(self) -> Counts:
        """Returns how far the training is."""
        train_rate, env_rate = self._rates.rates(self.train_step, self.iteration)
        return Counts(
            env_steps=self.iteration,
            episodes=self.collector.num_episodes,
            num_rows=len(self.buffer),
            train_steps_per_sec=train_rate,
            env_steps_per_sec=env_rate,
        )

    def restore(self) -> bool:
        """Goes back to the newest checkpoint; returns whether there is one."""
        state = self._checkpoints.restore()
        if state is None:
            return False
        self.iteration = self._saved_iteration = state["iteration"]
        self.collector.num_episodes = state["num_episodes"]
        self.rng.bit_generator.state = state["rng"]
        return True

    def save(self) -> bool:
        """Writes a checkpoint, if this iteration has none, and exports the policy.

        Returns:
          Whether all was written; where not, it says so and training goes on.
        """
        self._check_place()
        self.finish_learning()
        self.gradient_steps.steps.check_finite()
        return self._attempt(self._write_checkpoint) and self._attempt(
            self._export_policy
        )

    def _attempt(self, write: Callable[[], None]) -> bool:
        """Writes something; where that fails, says so and returns False."""
        try:
            write()
        except NotSaved as error:
            self.progress.print(f"error: {error}")
            return False
        return True

    def _write_checkpoint(self) -> None:
        if self.iteration == self._saved_iteration:
            return
        state = {
            "iteration": self.iteration,
            "num_episodes": self.collector.num_episodes,
            "rng": self.rng.bit_generator.state,
        }
        self._checkpoints.save(self.iteration, state)
        self._saved_iteration = self.iteration

    def _export_policy(self) -> None:
        self._exporter.export_checkpoint()
        if self._is_at_end or not self._exporter.has_saved_models:
            self._exporter.export_saved_models()
        policy_export.remove_old_checkpoints(self._experiment, self.loop.max_to_keep)

    def run(self) -> None:
        """Trains until all iterations are done or `stop` is set; saves."""
        self._check_place()
        with contextlib.closing(self.progress):
            while self.iteration < self.loop.iterations and not self.stop.is_set():
                self.iterate()
            self._save_the_end()

    def _save_the_end(self) -> None:
        """Saves; on a full disk again and again, until it is stopped."""
        self._is_at_end = True  # The SavedModels are of the beginning.
        while not self.save():
            self.stop.clear()
            self.progress.print(
                f"trying again in {SAVE_RETRY_SECS:.0f} s; Ctrl-C gives it up"
            )
            if self.stop.wait(SAVE_RETRY_SECS):
                self.has_given_up = True
                return

    def iterate(self) -> None:
        """Takes an env step and, after the warm-up, a gradient step."""
        if time.monotonic() - self._place_checked_at >= PLACE_PERIOD_SECS:
            self._check_place()
            self._place_checked_at = time.monotonic()
        self.collect()
        if self.iteration > self.loop.warm_up_steps and self.buffer.can_sample():
            self.learn()
        if self.iteration % self.loop.log_interval == 0:
            self.evaluate()
        if self._is_checkpoint():
            self.save()
        self.progress.update(self.iteration)

    def _is_checkpoint(self) -> bool:
        return self.iteration % self.loop.checkpoint_interval == 0

    def collect(self) -> None:
        """Takes an env step and adds it to the replay."""
        if self.collector.is_between_episodes:
            iteration = self.params.iteration_at(self.train_step)
            self.collector.begin_episode(self.policy, iteration, self.rng)
        is_warm_up = self.iteration < self.loop.warm_up_steps
        policy = self.random_policy if is_warm_up else self.policy
        self.iteration += 1
        # A resumed training begins with a new episode: so does this one.
        result = self.collector.step(policy, is_cut=self._is_checkpoint())
        if result is not None:
            values = self.collector.curriculum.values
            self._logbook.add_episode(
                result, values, Steps(self.train_step, self.iteration)
            )
            self.progress.update(self.iteration, result.episode_return)

    def learn(self) -> None:
        """Begins a gradient step; the policy gets the weights of the one before."""
        batch = self.buffer.sample(self.rng, self.params.train_batch_size)
        self.gradient_steps.begin(batch)

    def finish_learning(self) -> None:
        """Waits for the gradient step under way; the policy gets its weights."""
        self.gradient_steps.finish()

    def evaluate(self) -> None:
        """Runs greedy episodes; logs them and how training goes."""
        self.finish_learning()
        seed_episode(self.eval_env, self.loop.seed + 1, self.iteration)
        summary = evaluation.evaluate(
            self.eval_env,
            self.greedy_policy,
            self._eval_observers,
            self.loop.episodes_per_eval,
        )
        measured: dict[str, float] = {}
        if self.train_step:
            rng = np.random.default_rng(self.iteration)  # Not that of training.
            batch = self.buffer.sample(rng, self.params.train_batch_size)
            measured = self.gradient_steps.steps.take_losses()
            measured.update(self.gradient_steps.steps.diagnose(batch))
        self._logbook.add_evaluation(summary, Steps(self.train_step, self.iteration))
        self._log.add(measured, self.train_step)
        self._log.flush()
        self.progress.print(f"iteration {self.iteration:,}: {summary}")
