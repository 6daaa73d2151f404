"""A collect worker: acts, writes experience, and evaluates.

It pulls the newest policy between two episodes and about twice a second within one;
between two it also applies the curriculum, and evaluates when that is due. A stop ends
it at once: it has nothing to save.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import numpy as np
import tensorflow as tf
from absl import flags
from tf_agents.environments import py_environment
from tf_agents.policies import greedy_policy

from tfagents_system.acting import observers
from tfagents_system.acting.episode import Episode, EpisodeResult, Watcher
from tfagents_system.acting.evaluation import Evaluator
from tfagents_system.acting.logbook import Logbook
from tfagents_system.acting.policies import Policy, RandomPolicy, make_policy
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import rate_limiter, replay, rows, variables
from tfagents_system.dataflow.n_step import NStep
from tfagents_system.dataflow.replay import ReplayInfo
from tfagents_system.environments import hooks
from tfagents_system.experiment import services, snapshots
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run
from tfagents_system.experiment.status_file import (
    Awaited,
    CollectWorkerStatus,
    Phase,
)
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import Steps
from tfagents_system.learning import build
from tfagents_system.processes import startup, waiting
from tfagents_system.settings.curriculum import Curriculum
from tfagents_system.settings.hyperparameters import Hyperparameters
from tfagents_system.train_params_base import TrainParamsBase


class TrainingDone(Exception):
    """Raised out of a wait for the replay server when training is complete."""


class Collector:
    """Runs training episodes and writes them into the replay."""

    def __init__(
        self,
        env: py_environment.PyEnvironment,
        policy: Policy,
        writer: replay.ExperienceWriter,
        watchers: list[Watcher],
        policies: variables.PolicyClient,
        waits: waiting.WaitLog,
        status: StatusWriter[CollectWorkerStatus],
    ) -> None:
        """Runs nothing yet.

        Args:
          env: The environment to collect in.
          policy: Acts after the warm-up.
          writer: Writes the experience.
          watchers: Of the user's observers.
          policies: Keeps the policy fresh.
          waits: What the writer reports its waits to.
          status: The worker's.
        """
        self._env, self._policy = env, policy
        self._writer, self._watchers = writer, watchers
        self._policies, self._waits, self._status = policies, waits, status

    def collect(self, random_policy: Policy | None = None) -> EpisodeResult:
        """Runs an episode; returns once the replay server has all of it.

        Args:
          random_policy: Acts in place of the learner's policy.

        Raises:
          TrainingDone: Training was completed while the writer waited.
        """
        policy = random_policy or self._policy
        policy.reset()
        episode = Episode(self._env)
        while not episode.is_over:
            transition = episode.step(policy)
            self._writer.add(*transition)
            self._waits.done()
            for watch in self._watchers:
                watch(*transition)
            if random_policy is None and self._policies.pull_if_due():
                policy.refresh()
            with self._status.edit() as status:
                status.worker_env_steps += 1
                status.policy_train_step = self._policies.train_step
        self._writer.flush()
        self._waits.done()
        return episode.result()


class CollectWorker:
    """Collects and evaluates until training is complete."""

    def __init__(
        self,
        params: Hyperparameters,
        collector: Collector,
        evaluator: Evaluator,
        policies: variables.PolicyClient,
        curriculum: Curriculum,
        logbook: Logbook,
        status: StatusWriter[CollectWorkerStatus],
    ) -> None:
        """Does nothing yet.

        Args:
          params: Length of training and of an iteration.
          collector: Runs training episodes.
          evaluator: Runs evaluations.
          policies: Pulls the learner's policy.
          curriculum: Of the environment to collect in.
          logbook: Logs both.
          status: The worker's.
        """
        self._params = params
        self._collector, self._evaluator = collector, evaluator
        self._policies, self._curriculum = policies, curriculum
        self._logbook, self._status = logbook, status
        self._waits = waiting.WaitLog(status)
        self._warm_up_rows = rate_limiter.warm_up_rows(params)

    def run(self, random_policy: Policy, generator: np.random.Generator) -> None:
        """Collects and evaluates until training is complete; evaluates once more.

        Args:
          random_policy: Acts in the warm-up.
          generator: Draws the curriculum's values.
        """
        with contextlib.suppress(TrainingDone):
            while not self._is_complete():
                info = self._wait_for_policy()
                is_warm_up = self._is_warm_up(info)
                if not is_warm_up:
                    self._evaluate_if_due(info)
                if not self._is_complete():  # The pulled policy may be the final one.
                    self._apply_curriculum(generator)
                    self._collect(info, random_policy if is_warm_up else None)
        # The final policy may have come within an episode, too.
        self._evaluate_if_due(self._wait_for_policy())
        self._status.enter(Phase.FINISHED)

    def _wait_for_policy(self) -> ReplayInfo:
        """Waits for the replay server and a policy; takes the newest policy."""
        started = time.monotonic()
        while True:
            info, is_pulled = self._policies.pull()
            if info is not None and is_pulled:
                self._waits.done()
                with self._status.edit() as status:
                    status.policy_train_step = self._policies.train_step
                return info
            awaited = Awaited.REPLAY_SERVER if info is None else Awaited.POLICY
            self._waits.waiting(awaited, time.monotonic() - started)
            time.sleep(waiting.POLL_SECS)

    def _is_complete(self) -> bool:
        """Whether the pulled policy is the final one."""
        return self._policies.train_step >= self._params.total_train_steps

    def _is_warm_up(self, info: ReplayInfo) -> bool:
        """Whether to act randomly: shared state decides, not this process's age."""
        return (
            self._params.seed_sac_buffer
            and self._policies.train_step == 0
            and info.num_inserts < self._warm_up_rows
        )

    def _apply_curriculum(self, generator: np.random.Generator) -> None:
        iteration = self._params.iteration_at(self._policies.train_step)
        if self._curriculum.apply(iteration, generator):
            with self._status.edit() as status:
                status.curriculum = self._curriculum.values

    def _collect(self, info: ReplayInfo, random_policy: Policy | None) -> None:
        self._status.enter(Phase.WARMING_UP if random_policy else Phase.COLLECTING)
        started = time.monotonic()
        result = self._collector.collect(random_policy)
        rate = result.length / (time.monotonic() - started)
        self._logbook.add_episode(
            result,
            self._curriculum.values,
            Steps(self._policies.train_step, info.num_inserts + result.length),
            policy_lag_train_steps=self._policies.lag_train_steps,
            worker_env_steps_per_sec=rate,
        )
        with self._status.edit() as status:
            status.worker_episodes += 1
            status.train_return = result.episode_return
            status.train_success_rate = self._logbook.success_rate

    def _evaluate_if_due(self, info: ReplayInfo) -> None:
        train_step = self._policies.train_step
        if self._evaluator.is_due(train_step):
            summary = self._evaluator.evaluate(train_step)
            self._logbook.add_evaluation(summary, Steps(train_step, info.num_inserts))


def make_worker(
    experiment: Experiment,
    params: TrainParamsBase,
    envs: tuple[py_environment.PyEnvironment, py_environment.PyEnvironment],
    generator: np.random.Generator,
    run: Run,
    status: StatusWriter[CollectWorkerStatus],
    name: str,
) -> CollectWorker:
    """Puts a worker together.

    Args:
      experiment: The experiment.
      params: The user's `TrainParams`.
      envs: The environments to collect and to evaluate in.
      generator: Explores, and draws the rows of an item.
      run: The run.
      status: The worker's.
      name: Name of the service.
    """
    env, eval_env = envs
    specs = Specs.load(experiment.specs)
    # Built as the learner's; only its policies are used.
    agent = build.build_agent(params, specs)
    client = replay.connect(run.reverb_port, run.reverb_host)
    waits = waiting.WaitLog(status)

    def on_wait(waited_secs: float) -> None:
        if experiment.done.exists():
            raise TrainingDone
        waits.waiting(Awaited.ROOM_IN_REPLAY, waited_secs)

    train_observers = params.train_observers_ctor(run.reverb_port)
    eval_observers = params.eval_observers_ctor()
    policies = variables.PolicyClient(agent, client, run.run_id)
    collector = Collector(
        env,
        make_policy(agent.collect_policy, generator),
        replay.ExperienceWriter(
            client,
            rows.RowCodec.of(params, specs),
            NStep.of(params),
            generator,
            on_wait,
        ),
        observers.make_watchers(train_observers, params.replay_observer),
        policies,
        waits,
        status,
    )
    greedy = make_policy(greedy_policy.GreedyPolicy(agent.policy), generator)
    return CollectWorker(
        params,
        collector,
        Evaluator(params, eval_env, greedy, eval_observers, status),
        policies,
        Curriculum(params.env_config, env),
        Logbook(experiment, name, status, train_observers, eval_observers),
        status,
    )


def main() -> int:
    """Works until training is complete, then waits to be stopped."""
    worker = int(flags.FLAGS.worker)
    name = services.worker_name(worker)
    experiment = startup.open_experiment()
    status = StatusWriter(experiment, name, CollectWorkerStatus)
    run = Run.load(experiment)
    params = snapshots.load(experiment)

    # Different for each worker and each restart, so that no two explore alike.
    starts = services.count_starts(experiment, name)
    seeds = np.random.SeedSequence([params.seed, worker, starts]).generate_state(3)
    env_seed, eval_seed, policy_seed = (int(s) >> 1 for s in seeds)
    tf.random.set_seed(policy_seed)
    generator = np.random.default_rng(policy_seed)

    env = hooks.make_collect_env(params, worker, env_seed)
    eval_env = hooks.make_eval_env(params, worker, eval_seed, env)
    client = replay.connect(run.reverb_port, run.reverb_host)
    waiting.wait_until(
        lambda: replay.read_replay(client) is not None,
        Awaited.REPLAY_SERVER,
        status,
        threading.Event(),
    )
    make_worker(experiment, params, (env, eval_env), generator, run, status, name).run(
        RandomPolicy(env.action_spec(), generator), generator
    )
    # supervise would start it again; the launcher puts it down.
    while True:
        signal.pause()
