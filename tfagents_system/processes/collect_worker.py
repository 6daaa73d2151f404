"""A collect worker: acts, writes experience, and evaluates.

It pulls the newest policy between two episodes and about twice a second within one;
between two it also applies the curriculum, and evaluates when that is due. SIGTERM
ends it at once: it has nothing to save.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import numpy as np
import reverb
import tensorflow as tf
from absl import flags, logging
from tf_agents.agents import tf_agent
from tf_agents.environments import py_environment
from tf_agents.policies import greedy_policy

from tfagents_system.acting import evaluation, observers
from tfagents_system.acting.episode import Episode, EpisodeResult, Watcher
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
from tfagents_system.train_params_base import Observers, TrainParamsBase

WORKER = flags.DEFINE_integer(
    "worker", None, "Number of the worker, from 0.", required=True, lower_bound=0
)


class TrainingDone(Exception):
    """Raised out of a wait for the replay server when training is complete."""


class PolicySource:
    """Where a worker gets the learner's newest policy.

    Attributes:
      train_step: Gradient steps that made the policy it has; 0 before the first.
      lag_train_steps: Gradient steps taken while the worker acted with the one before.
    """

    def __init__(
        self,
        client: reverb.Client,
        agent: tf_agent.TFAgent,
        status: StatusWriter[CollectWorkerStatus],
    ) -> None:
        """Pulls nothing yet.

        Args:
          client: Client of the replay server.
          agent: Its policies' variables are assigned.
          status: The worker's.
        """
        self._client, self._status = client, status
        self._variables = variables.policy_variables(agent)
        self._waits = waiting.WaitLog(status)
        self._has_policy = False
        self._pulled_at = 0.0
        self.train_step = 0
        self.lag_train_steps = 0

    def wait(self) -> ReplayInfo:
        """Waits for the replay server and a policy; takes the newest policy."""
        started = time.monotonic()
        while True:
            info, is_pulled = self._pull()
            if info is not None and is_pulled:
                self._waits.done()
                return info
            awaited = Awaited.REPLAY_SERVER if info is None else Awaited.POLICY
            self._waits.waiting(awaited, time.monotonic() - started)
            time.sleep(waiting.POLL_SECS)

    def pull_if_due(self) -> bool:
        """Takes the newest policy about twice a second; returns whether it did.

        Without an answer the worker goes on with the policy that it has.
        """
        if time.monotonic() - self._pulled_at < variables.PULL_PERIOD_SECS:
            return False
        return self._pull()[1]

    def _pull(self) -> tuple[ReplayInfo | None, bool]:
        """Takes the newest policy if there is one; returns whether there was."""
        self._pulled_at = time.monotonic()
        info = replay.read_replay(self._client)
        if info is None or not info.has_policy:
            return info, False
        policy = variables.pull_policy(self._client)
        if policy is None:
            return info, False
        self._variables.assign(policy.packed)
        if self._has_policy:
            self.lag_train_steps = max(0, policy.train_step - self.train_step)
        self._has_policy = True
        self.train_step = policy.train_step
        with self._status.edit() as status:
            status.policy_train_step = policy.train_step
        return info, True


class Collector:
    """Runs training episodes and writes them into the replay."""

    def __init__(
        self,
        env: py_environment.PyEnvironment,
        policy: Policy,
        writer: replay.ExperienceWriter,
        watchers: list[Watcher],
        source: PolicySource,
        waits: waiting.WaitLog,
        status: StatusWriter[CollectWorkerStatus],
    ) -> None:
        """Runs nothing yet.

        Args:
          env: The environment to collect in.
          policy: Acts after the warm-up.
          writer: Writes the experience.
          watchers: Of the user's observers.
          source: Keeps the policy fresh.
          waits: What the writer reports its waits to.
          status: The worker's.
        """
        self._env, self._policy = env, policy
        self._writer, self._watchers = writer, watchers
        self._source, self._waits, self._status = source, waits, status

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
            with self._status.edit() as status:
                status.worker_env_steps += 1
            if random_policy is None and self._source.pull_if_due():
                policy.refresh()
        self._writer.flush()
        self._waits.done()
        return episode.result()


class Evaluator:
    """Evaluates the greedy policy when that is due."""

    def __init__(
        self,
        params: Hyperparameters,
        env: py_environment.PyEnvironment,
        policy: Policy,
        users_observers: Observers,
        status: StatusWriter[CollectWorkerStatus],
    ) -> None:
        """Evaluates nothing yet.

        Args:
          params: Period and episodes of an evaluation.
          env: The environment to evaluate in.
          policy: The greedy policy.
          users_observers: The user's, of evaluation episodes.
          status: The worker's; remembers the last evaluation over restarts.
        """
        self._params, self._env, self._policy = params, env, policy
        self._observers, self._status = users_observers, status

    def is_due(self, train_step: int) -> bool:
        """Returns whether the policy of a train step is to be evaluated."""
        period = self._params.eval_period_itrs
        if not period:
            return False
        iteration = self._params.iteration_at(train_step)
        last = self._status.value.last_eval_iteration
        if last is None or iteration // period > last // period:
            return True
        # The final policy is evaluated in any case.
        return train_step >= self._params.total_train_steps and iteration > last

    def evaluate(self, train_step: int) -> evaluation.Summary:
        """Evaluates the policy of a train step."""
        self._status.enter(Phase.EVALUATING)
        summary = evaluation.evaluate(
            self._env,
            self._policy,
            self._observers,
            self._params.n_eval_episodes,
            self._count_episode,
        )
        logging.info("evaluation at train step %d: %s", train_step, summary)
        with self._status.edit(write_now=True) as status:
            status.last_eval_iteration = self._params.iteration_at(train_step)
            status.eval_train_step = train_step
            status.eval_return = summary.mean_return
            status.eval_success_rate = summary.success_rate
            best = status.best_eval_return
            if best is None or summary.mean_return > best:
                status.best_eval_return = summary.mean_return
                status.best_eval_train_step = train_step
        return summary

    def _count_episode(self) -> None:
        with self._status.edit() as status:
            status.worker_eval_episodes += 1


class CollectWorker:
    """Collects and evaluates until training is complete."""

    def __init__(
        self,
        params: Hyperparameters,
        collector: Collector,
        evaluator: Evaluator,
        source: PolicySource,
        curriculum: Curriculum,
        logbook: Logbook,
        status: StatusWriter[CollectWorkerStatus],
    ) -> None:
        """Does nothing yet.

        Args:
          params: Length of training and of an iteration.
          collector: Runs training episodes.
          evaluator: Runs evaluations.
          source: The learner's policy.
          curriculum: Of the environment to collect in.
          logbook: Logs both.
          status: The worker's.
        """
        self._params = params
        self._collector, self._evaluator = collector, evaluator
        self._source, self._curriculum = source, curriculum
        self._logbook, self._status = logbook, status
        self._warm_up_rows = rate_limiter.warm_up_rows(params)

    def run(self, random_policy: Policy, generator: np.random.Generator) -> None:
        """Collects and evaluates until training is complete; evaluates once more.

        Args:
          random_policy: Acts in the warm-up.
          generator: Draws the curriculum's values.
        """
        with contextlib.suppress(TrainingDone):
            while not self._is_complete():
                info = self._source.wait()
                is_warm_up = self._is_warm_up(info)
                if not is_warm_up:
                    self._evaluate_if_due(info)
                if not self._is_complete():  # The pulled policy may be the final one.
                    self._apply_curriculum(generator)
                    self._collect(info, random_policy if is_warm_up else None)
        # The final policy may have come within an episode, too.
        self._evaluate_if_due(self._source.wait())
        self._status.enter(Phase.FINISHED)

    def _is_complete(self) -> bool:
        """Whether the pulled policy is the final one."""
        return self._source.train_step >= self._params.total_train_steps

    def _is_warm_up(self, info: ReplayInfo) -> bool:
        """Whether to act randomly: shared state decides, not this process's age."""
        return (
            self._params.seed_sac_buffer
            and self._source.train_step == 0
            and info.num_inserts < self._warm_up_rows
        )

    def _apply_curriculum(self, generator: np.random.Generator) -> None:
        iteration = self._params.iteration_at(self._source.train_step)
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
            Steps(self._source.train_step, info.num_inserts + result.length),
            policy_lag_train_steps=self._source.lag_train_steps,
            worker_env_steps_per_sec=rate,
        )
        with self._status.edit() as status:
            status.worker_episodes += 1
            status.train_return = result.episode_return
            status.train_success_rate = self._logbook.success_rate

    def _evaluate_if_due(self, info: ReplayInfo) -> None:
        train_step = self._source.train_step
        if self._evaluator.is_due(train_step):
            summary = self._evaluator.evaluate(train_step)
            self._logbook.add_evaluation(summary, Steps(train_step, info.num_inserts))


def make_worker(
    experiment: Experiment,
    params: TrainParamsBase,
    envs: tuple[py_environment.PyEnvironment, py_environment.PyEnvironment],
    generator: np.random.Generator,
    reverb_port: int,
    status: StatusWriter[CollectWorkerStatus],
    name: str,
) -> CollectWorker:
    """Puts a worker together.

    Args:
      experiment: The experiment.
      params: The user's `TrainParams`.
      envs: The environments to collect and to evaluate in.
      generator: Explores, and draws the rows of an item.
      reverb_port: TCP port of the replay server.
      status: The worker's.
      name: Name of the service.
    """
    env, eval_env = envs
    specs = Specs.load(experiment.specs)
    # Built as the learner's; only its policies are used.
    agent = build.build_agent(params, specs)
    client = replay.connect(reverb_port)
    waits = waiting.WaitLog(status)

    def on_wait(waited_secs: float) -> None:
        if experiment.done.exists():
            raise TrainingDone
        waits.waiting(Awaited.ROOM_IN_REPLAY, waited_secs)

    train_observers = params.train_observers_ctor(reverb_port)
    eval_observers = params.eval_observers_ctor()
    source = PolicySource(client, agent, status)
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
        observers.make_watchers(train_observers),
        source,
        waits,
        status,
    )
    greedy = make_policy(greedy_policy.GreedyPolicy(agent.policy), generator)
    return CollectWorker(
        params,
        collector,
        Evaluator(params, eval_env, greedy, eval_observers, status),
        source,
        Curriculum(params.env_config, env),
        Logbook(experiment, name, status, train_observers, eval_observers),
        status,
    )


def main() -> int:
    """Works until training is complete, then waits to be stopped."""
    worker = WORKER.value
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
    client = replay.connect(run.reverb_port)
    waiting.wait_until(
        lambda: replay.read_replay(client) is not None,
        Awaited.REPLAY_SERVER,
        status,
        threading.Event(),
    )
    make_worker(
        experiment, params, (env, eval_env), generator, run.reverb_port, status, name
    ).run(RandomPolicy(env.action_spec(), generator), generator)
    # supervise would start it again; the launcher puts it down.
    while True:
        signal.pause()
