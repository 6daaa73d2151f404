"""A collect worker: acts, writes experience, and evaluates.

It pulls the newest policy between two episodes and about twice a second within one;
between two it also applies the curriculum, and evaluates when that is due. SIGTERM
ends it at once: it has nothing to save.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from tfagents_system.acting import episode
from tfagents_system.experiment import summaries
from tfagents_system.launcher.topology import COLLECT_WORKER
from tfagents_system.processes import startup

if TYPE_CHECKING:
    import reverb
    from tf_agents.agents import tf_agent
    from tf_agents.environments import py_environment

    from tfagents_system.acting.episode import EpisodeResult
    from tfagents_system.dataflow.replay import ReplayInfo
    from tfagents_system.dataflow.rows import RowCodec
    from tfagents_system.experiment.directory import Experiment
    from tfagents_system.train_params_base import TrainParamsBase

logger = logging.getLogger(__name__)
# A pull takes about 2 ms: less than one percent of a worker's time.
PULL_PERIOD_SECS = 0.5


class TrainingDone(Exception):
    """Raised out of a wait for the replay server when training is complete."""


class CollectWorker:
    """One worker's environments, policies and metrics."""

    def __init__(
        self,
        name: str,
        worker: int,
        experiment: Experiment,
        params: TrainParamsBase,
        agent: tf_agent.TFAgent,
        envs: tuple[py_environment.PyEnvironment, py_environment.PyEnvironment],
        codec: RowCodec,
        client: reverb.Client,
        reverb_port: int,
        policy_seed: int,
        status: startup.Status,
    ) -> None:
        """Compiles nothing yet.

        Args:
          name: Name of the service.
          worker: The worker's number.
          experiment: The experiment.
          params: The user's `TrainParams`.
          agent: An agent built as the learner's; only its policies are used.
          envs: The environments to collect and to evaluate in.
          codec: Layout of the rows.
          client: Client of the replay server.
          reverb_port: Its port, for the user's observers.
          policy_seed: Seed of exploration.
          status: The worker's status.
        """
        import numpy as np
        from tf_agents.policies import greedy_policy, random_py_policy

        from tfagents_system.acting import evaluation
        from tfagents_system.dataflow import n_step, rate_limiter, replay, variables
        from tfagents_system.settings import curriculum

        self._experiment = experiment
        self._params = params
        self._env, self._eval_env = envs
        self._codec = codec
        self._client = client
        self._status = status
        self._waits = startup.WaitLog(status)
        self._variables = variables.policy_variables(agent)
        generator = np.random.default_rng(policy_seed)
        self._generator = generator
        self._steps = n_step.NStepWriter(
            params.n_step_returns, params.discount, self._write
        )
        self._results: deque[EpisodeResult] = deque(maxlen=evaluation.SUCCESS_EPISODES)
        self._writer = replay.ExperienceWriter(client, codec, generator)
        self._policy = episode.make_policy(agent.collect_policy, generator)
        self._greedy_policy = episode.make_policy(
            greedy_policy.GreedyPolicy(agent.policy), generator
        )
        self._random_policy = episode.TFAgentsPolicy(
            random_py_policy.RandomPyPolicy(
                self._env.time_step_spec(),
                self._env.action_spec(),
                seed=int(generator.integers(2**31)),
            )
        )
        self._observers = params.train_observers_ctor(reverb_port)
        self._eval_observers = params.eval_observers_ctor()
        self._summaries = summaries.ScalarWriter(
            experiment.train_summaries(name), status
        )
        self._eval_summaries = summaries.ScalarWriter(
            experiment.eval_summaries(name), status
        )
        self._curriculum = curriculum.Curriculum(params.env_config, self._env)
        self._warm_up_rows = rate_limiter.warm_up_rows(params)
        self._has_policy = False
        self._train_step = 0
        self._pulled_at = 0.0
        self._worker_env_steps = int(status.get("worker_env_steps", 0))
        self._worker_episodes = int(status.get("worker_episodes", 0))
        self._worker_eval_episodes = int(status.get("worker_eval_episodes", 0))
        # Gradient steps taken while this worker acted with the policy before.
        self._policy_lag = 0
        self.total_train_steps = params.num_iter * params.num_steps_per_iter

    @property
    def iteration(self) -> int:
        """Index of the iteration that the pulled policy belongs to."""
        return self._train_step // self._params.num_steps_per_iter

    def run(self) -> None:
        """Collects and evaluates until training is complete; evaluates once more."""
        with contextlib.suppress(TrainingDone):
            while self._train_step < self.total_train_steps:
                info = self._pull()
                is_warm_up = self._is_warm_up(info)
                if not is_warm_up and self._is_evaluation_due():
                    self._evaluate(info)
                # The pulled policy may be the final one.
                if self._train_step < self.total_train_steps:
                    if self._curriculum.apply(self.iteration, self._generator):
                        self._status.update(curriculum=self._curriculum.values)
                    self._collect(info, is_warm_up)
        # The final policy may have come within an episode, too.
        info = self._pull()
        if self._is_evaluation_due():
            self._evaluate(info)
        self._status.set_state("finished")

    def _pull(self) -> ReplayInfo:
        """Waits for the replay server and a policy; takes the newest policy."""
        started = time.monotonic()
        while True:
            info, is_pulled = self._try_to_pull()
            if info is not None and is_pulled:
                self._waits.done()
                return info
            whom = "the replay server" if info is None else "the learner's policy"
            self._waits.waiting(whom, time.monotonic() - started)
            time.sleep(0.5)

    def _try_to_pull(self) -> tuple[ReplayInfo | None, bool]:
        """Takes the newest policy if there is one; returns whether there was."""
        from tfagents_system.dataflow import replay, variables

        self._pulled_at = time.monotonic()
        info = replay.read_replay(self._client)
        if info is None or not info.has_policy:
            return info, False
        policy = variables.pull_policy(self._client)
        if policy is None:
            return info, False
        self._variables.assign(policy.packed)
        if self._has_policy:
            self._policy_lag = max(0, policy.train_step - self._train_step)
        self._has_policy = True
        self._train_step = policy.train_step
        self._status.update(policy_train_step=policy.train_step)
        return info, True

    def _keep_policy_fresh(self, *transition: Any) -> None:
        """Pulls within an episode; without an answer the worker goes on as it is."""
        if time.monotonic() - self._pulled_at >= PULL_PERIOD_SECS:
            self._try_to_pull()
            self._policy.refresh()

    def _is_warm_up(self, info: ReplayInfo) -> bool:
        """Whether to act randomly: shared state decides, not this process's age."""
        return (
            self._params.seed_sac_buffer
            and self._train_step == 0
            and info.num_inserts < self._warm_up_rows
        )

    def _collect(self, info: ReplayInfo, is_warm_up: bool) -> None:
        from tfagents_system.acting import evaluation

        self._status.set_state(
            "collecting with random actions" if is_warm_up else "collecting"
        )
        watchers = [self._steps.add, *episode.user_watchers(self._observers)]
        started = time.monotonic()
        if is_warm_up:
            result = episode.run_episode(self._env, self._random_policy, watchers)
        else:
            watchers.append(self._keep_policy_fresh)
            result = episode.run_episode(self._env, self._policy, watchers)
        self._writer.flush(self._on_replay_wait)
        self._waits.done()
        rate = result.length / (time.monotonic() - started)
        self._results.append(result)
        success_rate = evaluation.success_rate(self._results)
        self._worker_episodes += 1
        self._status.update(
            train_return=result.episode_return,
            train_success_rate=success_rate,
            worker_episodes=self._worker_episodes,
        )
        self._summaries.write(
            {
                "Metrics/policy_lag_train_steps": self._policy_lag,
                "Metrics/worker_env_steps_per_sec": rate,
                **summaries.episode_scalars(
                    result, success_rate, self._curriculum.values, self._observers
                ),
            },
            self._train_step,
            info.num_inserts + result.length,
        )

    def _write(self, *step: Any) -> None:
        columns = self._codec.pack_step(*step)
        self._writer.write(columns, self._on_replay_wait)
        self._waits.done()
        self._worker_env_steps += 1
        self._status.report_progress(worker_env_steps=self._worker_env_steps)

    def _on_replay_wait(self, waited_secs: float) -> None:
        if self._experiment.done.exists():
            raise TrainingDone
        self._waits.waiting("the replay server to take experience", waited_secs)

    def _best_evaluation(self, mean_return: float) -> dict[str, float]:
        """Returns what changes in the status if an evaluation is the best so far."""
        if mean_return <= self._status.get("best_eval_return", -math.inf):
            return {}
        return {
            "best_eval_return": mean_return,
            "best_eval_train_step": self._train_step,
        }

    def _is_evaluation_due(self) -> bool:
        period = self._params.eval_period_itrs
        if not period:
            return False
        last = self._status.get("last_eval_iteration")
        if last is None or self.iteration // period > last // period:
            return True
        # The final policy is evaluated in any case.
        return self._train_step >= self.total_train_steps and self.iteration > last

    def _evaluate(self, info: ReplayInfo) -> None:
        from tfagents_system.acting import evaluation

        def count() -> None:
            self._worker_eval_episodes += 1
            self._status.report_progress(
                worker_eval_episodes=self._worker_eval_episodes
            )

        self._status.set_state("evaluating")
        summary = evaluation.evaluate(
            self._eval_env,
            self._greedy_policy,
            self._eval_observers,
            self._params.n_eval_episodes,
            count,
        )
        logger.info("evaluation at train step %d: %s", self._train_step, summary)
        self._status.update(
            write_now=True,
            last_eval_iteration=self.iteration,
            eval_train_step=self._train_step,
            eval_return=summary.mean_return,
            eval_success_rate=summary.success_rate,
            **self._best_evaluation(summary.mean_return),
        )
        self._eval_summaries.write(
            summaries.evaluation_scalars(summary, self._eval_observers),
            self._train_step,
            info.num_inserts,
        )
        self._eval_summaries.flush()


def main() -> int:
    """Works until training is complete, then waits to be stopped."""
    parser = startup.make_parser(__doc__ or "")
    parser.add_argument("--worker", type=int, required=True, help="number, from 0")
    args = parser.parse_args()
    name = f"{COLLECT_WORKER}_{args.worker}"
    startup.begin(name)

    import numpy as np
    import tensorflow as tf

    from tfagents_system.algorithm import sac
    from tfagents_system.algorithm.specs import Specs
    from tfagents_system.dataflow import replay, rows
    from tfagents_system.environments import standard
    from tfagents_system.experiment.directory import Experiment
    from tfagents_system.launcher import daemontools

    startup.limit_threads(1)
    experiment = Experiment(args.exp_dir)
    status = startup.Status(experiment, name)
    run, params = startup.load_run(experiment)

    # Different for each worker and each restart, so that no two explore alike.
    starts = daemontools.count_starts(experiment, name)
    seeds = np.random.SeedSequence([params.seed, args.worker, starts]).generate_state(3)
    env_seed, eval_seed, policy_seed = (int(s) >> 1 for s in seeds)
    tf.random.set_seed(policy_seed)

    env = standard.make_collect_env(params, args.worker, env_seed)
    eval_env = standard.make_eval_env(params, args.worker, eval_seed, env)
    specs = Specs.load(experiment.specs)
    client = replay.connect(run.reverb_port)
    startup.wait_until(
        lambda: replay.read_replay(client) is not None,
        f"the replay server on port {run.reverb_port}",
        status,
        threading.Event(),
    )
    CollectWorker(
        name,
        args.worker,
        experiment,
        params,
        sac.build_agent(params, specs),
        (env, eval_env),
        rows.RowCodec.of(params, specs),
        client,
        run.reverb_port,
        policy_seed,
        status,
    ).run()
    # supervise would start it again; the launcher puts it down.
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(startup.run_service(main))
