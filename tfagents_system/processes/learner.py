"""The learner: samples, takes gradient steps, publishes, checkpoints.

Three threads, each with an object of its own: `TrainingLoop` trains, `Saver` adds the
replay to a checkpoint, and the main thread reports and handles signals. A stop sets a
variable that the compiled loop reads before each gradient step, so nothing changes any
more while the last checkpoint is written.
"""

from __future__ import annotations

import concurrent.futures
from concurrent.futures import Future

from absl import logging

from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import rate_limiter, replay, rows, variables
from tfagents_system.errors import NotSaved
from tfagents_system.experiment import progress, services, snapshots, summaries
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run
from tfagents_system.experiment.status_file import Awaited, LearnerStatus, Phase
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.stopping import GRADIENT_STEP_GRACE_SECS
from tfagents_system.experiment.summaries import RateMeter, ScalarWriter
from tfagents_system.host import threads
from tfagents_system.learning import build, checkpoint
from tfagents_system.learning.gradient_steps import GradientSteps
from tfagents_system.learning.saver import Saver
from tfagents_system.learning.training_log import Counts, TrainingLog
from tfagents_system.learning.training_loop import TrainingLoop
from tfagents_system.processes import startup, waiting
from tfagents_system.settings.hyperparameters import (
    HINTS,
    Execution,
    Hyperparameters,
)

POLL_SECS = 1.0
SAVE_RETRY_SECS = 10.0


class Reporter:
    """Reports how training goes; belongs to the main thread, but for `count`."""

    def __init__(
        self,
        experiment: Experiment,
        params: Hyperparameters,
        client: replay.Client,
        publisher: variables.PolicyPublisher,
        status: StatusWriter[LearnerStatus],
    ) -> None:
        """Reports nothing yet.

        Args:
          experiment: The experiment.
          params: Length of training and of an iteration.
          client: A client of its own.
          publisher: Knows what the replay server must have.
          status: The learner's.
        """
        self._experiment, self._params = experiment, params
        self._client, self._status = client, status
        self._guard = variables.PolicyGuard(publisher, client)
        self._rates = RateMeter()
        self._num_samples = -1
        self._is_waiting = self._is_replay_away = False
        with status.edit() as value:
            value.num_iter = params.num_iter
            value.num_steps_per_iter = params.num_steps_per_iter
            value.min_rows = rate_limiter.warm_up_rows(params)
            value.problem = ""  # That of a former process is over.

    def poll(self, loop: TrainingLoop) -> None:
        """Reports train step and replay; publishes the policy where it was lost."""
        info = replay.read_replay(self._client)
        if info is not None:
            self._guard.check(info)
        # Read only now: all that may take long, and the status must not fall behind a
        # checkpoint that was completed meanwhile.
        train_step = loop.train_step
        self._is_waiting = train_step == self._status.value.train_step and (
            info is None or info.num_samples == self._num_samples
        )
        self._is_replay_away = info is None
        with self._status.edit() as status:
            status.train_step = train_step
            status.iteration = self._params.iteration_at(train_step)
            if info is not None:
                self._num_samples = info.num_samples
                status.env_steps, status.num_rows = info.num_inserts, info.num_rows
                rates = self._rates.rates(train_step, info.num_inserts)
                status.train_steps_per_sec, status.env_steps_per_sec = rates

    def report_phase(self) -> None:
        """Says whether the gradient steps wait, and for what; after `poll`."""
        status = self._status.value
        if not self._is_waiting:
            self._status.enter(Phase.TRAINING)
        elif self._is_replay_away:
            self._status.enter(Phase.WAITING, Awaited.REPLAY_SERVER)
        elif status.num_rows < status.min_rows:
            self._status.enter(Phase.WAITING, Awaited.WARM_UP)
        else:
            self._status.enter(Phase.WAITING, Awaited.EXPERIENCE)

    def count(self) -> Counts:
        """Returns how far the training is; any thread."""
        status = self._status.value
        return Counts(
            env_steps=status.env_steps,
            episodes=progress.count_episodes(self._experiment),
            num_rows=status.num_rows,
            train_steps_per_sec=status.train_steps_per_sec,
            env_steps_per_sec=status.env_steps_per_sec,
        )


def main() -> int:
    """Trains until training is complete or it is told to stop."""
    experiment = startup.open_experiment()
    status = StatusWriter(experiment, services.LEARNER, LearnerStatus)
    run = Run.load(experiment)
    params = snapshots.load(experiment)
    specs = Specs.load(experiment.specs)
    client, own_client = (replay.connect(run.reverb_port) for _ in range(2))
    if not waiting.wait_until(
        lambda: replay.read_replay(own_client) is not None,
        Awaited.REPLAY_SERVER,
        status,
        startup.STOP,
    ):
        return 0

    num_shards = threads.num_cpus()
    logging.info("batches of %d in %d shard(s)", params.train_batch_size, num_shards)
    with build.seeded_weights(params.seed):
        agent = build.build_agent(params, specs, Execution(num_batch_shards=num_shards))
    checkpoint.restore_learner(experiment, agent)
    codec = rows.RowCodec.of(params, specs)
    dataset = replay.make_dataset(
        run.reverb_port,
        codec,
        params.train_batch_size,
        params.prefetch_batches,
        rate_limiter.batches_per_fetch(params, codec),
    )
    publisher = variables.PolicyPublisher(agent, client, run.run_id)
    reporter = Reporter(experiment, params, own_client, publisher, status)
    writer = ScalarWriter(experiment.train_summaries(services.LEARNER), status)
    summaries.write_hyperparameters(
        experiment.root, {name: getattr(params, name) for name in HINTS}
    )
    saver = Saver(experiment, agent, client, codec, status, params.n_policy_checkpoints)
    loop = TrainingLoop(
        params,
        agent,
        GradientSteps(agent, codec, dataset),
        publisher,
        saver,
        TrainingLog(writer, reporter.count),
    )
    reporter.poll(loop)  # What a former process said is over.
    if not waiting.wait_until(
        publisher.try_publish, Awaited.REPLAY_SERVER, status, startup.STOP
    ):
        return 0
    _train(experiment, loop, reporter, saver, status)
    return 0


def _train(
    experiment: Experiment,
    loop: TrainingLoop,
    reporter: Reporter,
    saver: Saver,
    status: StatusWriter[LearnerStatus],
) -> None:
    """Trains, in another thread, and saves in the end."""
    training = concurrent.futures.ThreadPoolExecutor(1, "training").submit(loop.run)
    while not startup.STOP.wait(POLL_SECS) and not training.done():
        reporter.poll(loop)
        reporter.report_phase()
    _stop_training(loop, training, status)
    if loop.is_complete:
        _complete(experiment, loop, saver, status)
        while not startup.STOP.wait(POLL_SECS):  # supervise would start it again.
            reporter.poll(loop)  # The workers evaluate the final policy.
        return
    if loop.train_step > 0:
        status.enter(Phase.CHECKPOINTING)
        # What could not be saved is in the status, and the launcher says so.
        saver.save(is_stopping=True).exception()
    status.enter(Phase.STOPPED)


def _stop_training(
    loop: TrainingLoop, training: Future[None], status: StatusWriter[LearnerStatus]
) -> None:
    """Ends the training thread, unless it waits for the replay server.

    Raises:
      Exception: What ended that thread.
    """
    loop.stop()
    concurrent.futures.wait([training], GRADIENT_STEP_GRACE_SECS)
    error = training.exception() if training.done() else None
    if error is not None:
        status.enter(Phase.FAILED, failure=str(error).partition("\n")[0])
        raise error


def _complete(
    experiment: Experiment,
    loop: TrainingLoop,
    saver: Saver,
    status: StatusWriter[LearnerStatus],
) -> None:
    """Saves what was learned, however long that takes, and marks training as done."""
    while not experiment.is_trained_for(loop.train_step):
        status.enter(Phase.CHECKPOINTING)
        try:
            saver.save().result()
            saver.export_saved_models()
            experiment.mark_done(loop.train_step)
        except (NotSaved, OSError) as error:  # What was learned must not be lost.
            logging.error("trying again in %g s: %s", SAVE_RETRY_SECS, error)
            status.enter(Phase.WAITING, Awaited.DISK)
            if startup.STOP.wait(SAVE_RETRY_SECS):
                return
    status.enter(Phase.FINISHED)
