"""The loop of the one-process mode: an env step, a gradient step, and so on."""

from __future__ import annotations

import threading
from typing import Callable

import numpy as np
from tf_agents.agents import tf_agent
from tf_agents.environments import py_environment
from tf_agents.policies import greedy_policy
from tf_agents.trajectories import time_step as ts

from tfagents_system import acting, curriculum, evaluation, policy_export
from tfagents_system.dataflow.n_step import NStepWriter
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments import standard
from tfagents_system.errors import NotSaved
from tfagents_system.experiment import Experiment
from tfagents_system.gradient_steps import GradientSteps
from tfagents_system.one_process.checkpoints import Checkpoints
from tfagents_system.one_process.flags import Loop
from tfagents_system.one_process.logbook import Logbook
from tfagents_system.one_process.ring_buffer import RingBuffer
from tfagents_system.train_params_base import TrainParamsBase

NO_REVERB_PORT = 0


class Trainer:
    """Trains an agent in one environment.

    Subclass it to replace a part of the loop, as `collect` or `learn`.

    Attributes:
      iteration: Env steps done.
      rng: Draws random actions, exploration, batches and the curriculum's values.
      buffer: The replay.
      stop: Ends `run` after the current iteration when it is set.
      report: Called with news, a line or nothing, and the iteration.
    """

    def __init__(
        self,
        params: TrainParamsBase,
        agent: tf_agent.TFAgent,
        envs: tuple[py_environment.PyEnvironment, py_environment.PyEnvironment],
        codec: RowCodec,
        experiment: Experiment,
        loop: Loop,
    ) -> None:
        """Compiles nothing yet.

        Args:
          params: The user's hyperparameters.
          agent: What to train.
          envs: To train in and to evaluate in.
          codec: Layout of the rows.
          experiment: The log directory.
          loop: Lengths and intervals.
        """
        self.params, self.agent, self.loop = params, agent, loop
        self.env, self.eval_env = envs
        self.rng = np.random.default_rng(loop.seed)
        self.iteration = 0
        self.stop = threading.Event()
        self.buffer = RingBuffer(codec, loop.buffer_size)
        self.gradient_steps = GradientSteps(agent, codec)
        self.policy = acting.make_policy(agent.collect_policy, self.rng)
        self.greedy_policy = acting.make_policy(
            greedy_policy.GreedyPolicy(agent.policy), self.rng
        )
        self.report: Callable[[str, int], None] = lambda news, iteration: None
        self._num_episodes = 0
        self._time_step: ts.TimeStep | None = None
        self._return, self._length = 0.0, 0
        self._steps = NStepWriter(
            params.n_step_returns,
            params.discount,
            lambda *step: self.buffer.add(codec.pack_step(*step)),
        )
        observers = params.train_observers_ctor(NO_REVERB_PORT)
        eval_observers = params.eval_observers_ctor()
        self._watchers = acting.user_watchers(observers)
        self._eval_watchers = acting.user_watchers(eval_observers)
        self._logbook = Logbook(experiment, observers, eval_observers)
        self._schedules = curriculum.make_schedules(params.env_config)
        self._curriculum_values: dict[str, curriculum.Value] = {}
        self._experiment = experiment
        self._exporter = policy_export.PolicyExporter(experiment, agent)
        self._checkpoints = Checkpoints(
            experiment.root, agent, self.buffer, loop.max_to_keep
        )

    @property
    def train_step(self) -> int:
        """Gradient steps done."""
        return int(self.agent.train_step_counter.numpy())

    @property
    def _steps_done(self) -> tuple[int, int]:
        return self.train_step, self.iteration

    def restore(self) -> bool:
        """Goes back to the newest checkpoint; returns whether there is one."""
        state = self._checkpoints.restore()
        if state is None:
            return False
        self.iteration = state["iteration"]
        self._num_episodes = state["num_episodes"]
        self.rng.bit_generator.state = state["rng"]
        return True

    def save(self) -> None:
        """Writes a checkpoint; where that fails, says so and training goes on."""
        self.gradient_steps.check_finite()
        state = {
            "iteration": self.iteration,
            "num_episodes": self._num_episodes,
            "rng": self.rng.bit_generator.state,
        }
        try:
            self._checkpoints.save(self.iteration, state)
            self._exporter.export_checkpoint()
        except NotSaved as error:
            self.report(f"error: {error}", self.iteration)
        policy_export.remove_old_checkpoints(self._experiment, self.loop.max_to_keep)

    def run(self) -> None:
        """Trains until all iterations are done or `stop` is set; saves."""
        self._exporter.export_saved_models()
        while self.iteration < self.loop.iterations and not self.stop.is_set():
            self.collect()
            if self.iteration > self.loop.warm_up_steps and self.buffer.can_sample():
                self.learn()
            if self.iteration % self.loop.log_interval == 0:
                self.evaluate()
            if self._is_checkpoint():
                self.save()
            self.report("", self.iteration)
        if not self._is_checkpoint():
            self.save()
        self._exporter.export_saved_models()

    def _is_checkpoint(self) -> bool:
        return self.iteration % self.loop.checkpoint_interval == 0

    def collect(self) -> None:
        """Takes an env step and adds it to the replay."""
        if self._time_step is None:
            self._time_step = self.begin_episode()
        time_step = self._time_step
        if self.iteration < self.loop.warm_up_steps:
            action = standard.sample_action(self.env, self.rng)
        else:
            action = self.policy.act(time_step)
        next_time_step = self.env.step(action)
        self.iteration += 1
        self._return += float(next_time_step.reward)
        self._length += 1
        is_over = bool(next_time_step.is_last())
        if self._is_checkpoint():
            # A resumed training begins with a new episode: so does this one.
            next_time_step = next_time_step._replace(step_type=ts.StepType.LAST)
        for watch in (self._steps.add, *self._watchers):
            watch(time_step, action, next_time_step)
        self._time_step = None if next_time_step.is_last() else next_time_step
        if is_over:
            self._logbook.add_episode(
                self._return, self._length, self._curriculum_values, self._steps_done
            )

    def learn(self) -> None:
        """Takes a gradient step; from then on the policy acts with new weights."""
        batch = self.buffer.sample(self.rng, self.params.train_batch_size)
        self.gradient_steps.step(batch)
        self.policy.refresh()

    def begin_episode(self) -> ts.TimeStep:
        """Resets the environment, after what the curriculum wants."""
        values = curriculum.sample_values(
            self._schedules, self.train_step // self.params.num_steps_per_iter, self.rng
        )
        if values != self._curriculum_values:
            self.env.set_state(values)
            self._curriculum_values = values
        standard.seed_episode(self.env, self.loop.seed, self._num_episodes)
        self._num_episodes += 1
        self._return, self._length = 0.0, 0
        self.policy.reset()
        return self.env.reset()

    def evaluate(self) -> None:
        """Runs greedy episodes; logs them and how training goes."""
        standard.seed_episode(self.eval_env, self.loop.seed + 1, self.iteration)
        summary = evaluation.summarize(
            [
                acting.run_episode(
                    self.eval_env, self.greedy_policy, self._eval_watchers
                )
                for _ in range(self.loop.episodes_per_eval)
            ]
        )
        losses: dict[str, float] = {}
        if self.train_step:
            rng = np.random.default_rng(self.iteration)  # Not that of training.
            batch = self.buffer.sample(rng, self.params.train_batch_size)
            losses = self.gradient_steps.take_losses()
            losses.update(self.gradient_steps.diagnose(batch))
        self._logbook.add_evaluation(summary, self._steps_done)
        self._logbook.add_training(losses, len(self.buffer), self._steps_done)
        self.report(f"iteration {self.iteration:,}: {summary}", self.iteration)
