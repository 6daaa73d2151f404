"""The learner: samples, takes gradient steps, publishes, checkpoints.

The gradient steps run in a thread of their own, because a thread that waits in
TensorFlow or Reverb runs no signal handlers. The main thread polls, reports, and
stops: it sets a variable that the compiled loop reads before each gradient step, so
nothing changes any more while the final checkpoint is written.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import signal
import sys
import threading
import time
import traceback
from types import FrameType
from typing import TYPE_CHECKING, Callable

from tfagents_system.errors import NotSaved, UserError
from tfagents_system.experiment import progress, summaries
from tfagents_system.launcher.topology import LEARNER
from tfagents_system.processes import startup

if TYPE_CHECKING:
    import reverb
    from tf_agents.agents import tf_agent

    from tfagents_system.algorithm.specs import Specs
    from tfagents_system.dataflow.replay import ReplayInfo
    from tfagents_system.dataflow.rows import RowCodec
    from tfagents_system.experiment.directory import Experiment
    from tfagents_system.learning.gradient_steps import GradientSteps
    from tfagents_system.train_params_base import TrainParamsBase

logger = logging.getLogger(__name__)
POLL_SECS = 1.0
# However long an iteration is, the workers get a policy this often; in other libraries
# the newest one always acts.
PUBLISH_PERIOD_TRAIN_STEPS = 100
STOP_GRACE_SECS = 3.0
SAVE_RETRY_SECS = 10.0


class Learner:
    """Iterations, and what follows each of them."""

    def __init__(
        self,
        experiment: Experiment,
        params: TrainParamsBase,
        agent: tf_agent.TFAgent,
        gradient_steps: GradientSteps,
        codec: RowCodec,
        client: reverb.Client,
        status: startup.Status,
    ) -> None:
        """Traces the policies for export.

        Args:
          experiment: The experiment.
          params: The user's `TrainParams`.
          agent: The agent, already restored.
          gradient_steps: Trains that agent.
          codec: Layout of the rows.
          client: Client of the replay server, for the training thread.
          status: The learner's status.
        """
        from tfagents_system.dataflow import rate_limiter, variables
        from tfagents_system.learning import checkpoint, policy_export

        self._experiment = experiment
        self._params = params
        self._min_rows = rate_limiter.warm_up_rows(params)
        self._agent = agent
        self._gradient_steps = gradient_steps
        self._codec = codec
        self._client = client
        self._status = status
        status.update(problem="")  # That of a former process is over.
        self._exporter = policy_export.PolicyExporter(experiment, agent)
        self._state = checkpoint.LearnerState(agent)
        self._variables = variables.policy_variables(agent)
        self._publisher = variables.PolicyPublisher(client)
        self._summaries = summaries.ScalarWriter(
            experiment.train_summaries(LEARNER), status
        )
        self._rates = summaries.RateMeter()
        self._stopping = False
        # The training thread and, when it stops, the main thread save; the replay's
        # part, seconds for a large one, is done while training goes on.
        self._save_lock = threading.Lock()
        self._saver = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._saving: concurrent.futures.Future[None] | None = None
        self._replay: ReplayInfo | None = None
        self._polled_train_step = -1
        self._latest_rates: tuple[float, ...] = (0.0, 0.0)
        self.total_train_steps = params.num_iter * params.num_steps_per_iter

    @property
    def train_step(self) -> int:
        """Gradient steps done."""
        return int(self._agent.train_step_counter.numpy())

    @property
    def iteration(self) -> int:
        """Index of the current iteration."""
        return self.train_step // self._params.num_steps_per_iter

    def publish(self) -> None:
        """Publishes the policy as it is now."""
        from tfagents_system.dataflow import variables

        packed = self._variables.read()
        self._publisher.publish(variables.PublishedPolicy(self.train_step, packed))

    def train(self) -> None:
        """Runs iterations until training is complete or `stop` is called."""
        self._exporter.export_saved_models()
        while self.train_step < self.total_train_steps and not self._stopping:
            self._iterate()
        if not self._stopping:
            self._finish()

    def stop(self) -> None:
        """Ends `train` before its next gradient step."""
        self._stopping = True
        self._gradient_steps.stop()

    def save(self) -> None:
        """Writes the policy checkpoint, and begins the joint checkpoint.

        Where that fails, because the disk is full for example, training goes on; the
        status and the launcher say so.
        """
        from tfagents_system.learning import policy_export

        with self._save_lock:
            self._wait_until_saved()
            try:
                self._exporter.export_checkpoint()
                train_step = self._state.write(self._experiment)
            except NotSaved as error:
                self._report_problem(str(error))
                return
            policy_export.remove_old_checkpoints(
                self._experiment, self._params.n_policy_checkpoints
            )
            if train_step is None:  # It is saved already.
                self._report_problem("")
            else:
                self._saving = self._saver.submit(self._complete, train_step)
            self._summaries.flush()

    def _complete(self, train_step: int) -> None:
        from tfagents_system.learning import checkpoint

        try:
            checkpoint.complete(self._experiment, train_step, self._client, self._codec)
        except NotSaved as error:
            self._report_problem(str(error))
        else:
            self._report_problem("")

    def _report_problem(self, problem: str) -> None:
        """Shows what is wrong though training goes on; empty: nothing."""
        if problem:
            logger.error("%s", problem)
        # What the status says must not be behind a checkpoint.
        self._status.report_progress(train_step=self.train_step)
        self._status.update(write_now=True, problem=problem)

    def _wait_until_saved(self) -> None:
        if self._saving is not None:
            self._saving.result()

    def save_and_wait(self) -> bool:
        """Writes both checkpoints to the end, and says so: the launcher waits.

        Returns:
          Whether they are written.
        """
        self._report(self.train_step)
        self._status.set_state("checkpointing")
        self.save()
        self._wait_until_saved()
        return not self._status.get("problem")

    def poll(self, client: reverb.Client) -> None:
        """Reads the replay's state and reports; called by the main thread.

        Args:
          client: A client of its own.
        """
        from tfagents_system.dataflow import replay, variables

        info = replay.read_replay(client)
        if info and not info.has_policy and self._publisher.last is not None:
            logger.warning("the replay server has no policy; publishing again")
            variables.PolicyPublisher(client).publish(self._publisher.last)
        # Only now: all that may take long, and the status must not go back behind a
        # checkpoint that was completed meanwhile.
        train_step = self.train_step
        if info is not None:
            self._latest_rates = self._rates.rates(train_step, info.num_inserts)
        self._notice_starvation(train_step, info)
        self._replay = info or self._replay
        self._polled_train_step = train_step
        self._report(train_step)

    def _notice_starvation(self, train_step: int, info: ReplayInfo | None) -> None:
        """Says so when the gradient steps wait for experience, and when no more."""
        waits = (
            info is None
            or self._replay is None
            or info.num_samples == self._replay.num_samples
        ) and train_step == self._polled_train_step
        if waits and self._status.get("state") == "training":
            self._status.set_state(
                "waiting for the replay server"
                if info is None
                else f"waiting for experience (starts at {self._min_rows:,} rows)"
                if info.num_rows < self._min_rows
                else "waiting for experience"
            )
        elif not waits and str(self._status.get("state")).startswith("waiting"):
            self._status.set_state("training")

    def _report(self, train_step: int) -> None:
        info = self._replay
        per_iter = self._params.num_steps_per_iter
        self._status.report_progress(train_step=train_step)
        self._status.update(
            iteration=train_step // per_iter,
            num_iter=self._params.num_iter,
            num_steps_per_iter=per_iter,
            env_steps=info.num_inserts if info else 0,
            num_rows=info.num_rows if info else 0,
            train_steps_per_sec=self._latest_rates[0],
            env_steps_per_sec=self._latest_rates[1],
        )

    def _iterate(self) -> None:
        params = self._params
        self._status.set_state("training")
        num_steps = params.num_steps_per_iter
        left = num_steps - self.train_step % num_steps
        while left > 0:
            steps = min(left, PUBLISH_PERIOD_TRAIN_STEPS)
            self._gradient_steps.run(steps)
            if self._stopping:
                return
            self._gradient_steps.check_finite()
            self.publish()
            left -= steps
        if self.iteration % params.log_period_itrs == 0:
            self._log(
                {
                    **self._gradient_steps.take_losses(),
                    **self._gradient_steps.diagnose(),
                }
            )
        is_last = self.train_step >= self.total_train_steps
        if self.iteration % params.checkpoint_period_itrs == 0 and not is_last:
            self.save()

    def _log(self, scalars: dict[str, float]) -> None:
        info = self._replay
        env_steps = info.num_inserts if info else 0
        train_rate, env_rate = self._latest_rates
        scalars = {
            **scalars,
            "Metrics/train_steps_per_sec": train_rate,
            "Metrics/env_steps_per_sec": env_rate,
            "Metrics/env_steps": env_steps,
            "Metrics/episodes": progress.count_episodes(self._experiment),
            "Metrics/train_steps": self.train_step,
            "Metrics/replay_size": info.num_rows if info else 0,
        }
        self._summaries.write(scalars, self.train_step, env_steps)
        logger.info(
            "iteration %d: train step %d, env steps %d, %.0f and %.0f a second; %s",
            self.iteration,
            self.train_step,
            env_steps,
            train_rate,
            env_rate,
            ", ".join(
                f"{tag.split('/')[1]} {value:.4g}"
                for tag, value in scalars.items()
                if tag.startswith(("Losses", "Q"))
            ),
        )

    def _finish(self) -> None:
        while not self.save_and_wait():  # What was learned must not be lost.
            self._status.set_state(f"waiting to save: {self._status.get('problem')}")
            time.sleep(SAVE_RETRY_SECS)
        self._exporter.export_saved_models()
        self._experiment.mark_done(self.train_step)
        self._status.set_state("done")


def build_agent(
    experiment: Experiment, params: TrainParamsBase, specs: Specs, num_cpus: int
) -> tf_agent.TFAgent:
    """Builds the agent, a shard of the batch for each CPU, and restores it."""
    from tfagents_system.algorithm import sac
    from tfagents_system.learning import checkpoint

    agent = sac.build_agent(params, specs)
    if isinstance(agent, sac.ShardedSacAgent):
        agent.num_shards = num_cpus
        logger.info(
            "batches of %d in %d shard(s)", params.train_batch_size, agent.num_shards
        )
    checkpoint.restore_learner(experiment, agent)
    return agent


def run_thread(target: Callable[[], None]) -> tuple[threading.Thread, list[str]]:
    """Runs a function in a thread; returns it and where its failure will be."""
    failures: list[str] = []

    def run() -> None:
        try:
            target()
        except UserError as error:
            failures.append(str(error))
        except BaseException:  # Whatever it was, the main thread must learn of it.
            failures.append(traceback.format_exc())

    thread = threading.Thread(target=run, name="training", daemon=True)
    thread.start()
    return thread, failures


def main() -> int:
    """Trains until it is complete or SIGTERM comes."""
    args = startup.make_parser(__doc__ or "").parse_args()
    startup.begin(LEARNER)
    # From here on, before the slow imports: a stop must not interrupt half a restore.
    stop = threading.Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)

    from tfagents_system.algorithm.specs import Specs
    from tfagents_system.dataflow import replay, rows
    from tfagents_system.experiment.directory import Experiment
    from tfagents_system.learning.gradient_steps import GradientSteps

    num_cpus = len(os.sched_getaffinity(0))
    startup.limit_threads(num_cpus)
    experiment = Experiment(args.exp_dir)
    status = startup.Status(experiment, LEARNER)
    run, params = startup.load_run(experiment)
    specs = Specs.load(experiment.specs)

    client = replay.connect(run.reverb_port)
    if not startup.wait_until(
        lambda: replay.read_replay(client) is not None,
        f"the replay server on port {run.reverb_port}",
        status,
        stop,
    ):
        return 0

    agent = build_agent(experiment, params, specs, num_cpus)
    codec = rows.RowCodec.of(params, specs)
    dataset = replay.make_dataset(
        run.reverb_port, codec, params.train_batch_size, params.prefetch_batches
    )
    gradient_steps = GradientSteps(agent, codec, dataset)
    learner = Learner(experiment, params, agent, gradient_steps, codec, client, status)
    own_client = replay.connect(run.reverb_port)
    learner.poll(own_client)  # What the status said before is not so any more.
    learner.publish()

    thread, failures = run_thread(learner.train)
    while not stop.wait(POLL_SECS) and not failures:
        # A complete training keeps the process, lest supervise start it again.
        learner.poll(own_client)
    if failures:
        logger.error("training failed: %s", failures[0])
        status.set_state("failed: " + failures[0].strip().splitlines()[-1])
        startup.record_failure()
        os._exit(1)
    learner.stop()
    thread.join(STOP_GRACE_SECS)
    if not experiment.done.exists() and learner.train_step > 0:
        learner.save_and_wait()
        status.set_state("stopped")
    # A thread that waits in Reverb cannot be joined.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(startup.run_service(main))
