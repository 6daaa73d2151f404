"""Saves a training while it goes on: policy checkpoint, learner and replay."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import threading
from concurrent.futures import Future

from tf_agents.agents import tf_agent

from tfagents_system.dataflow.deadline import Line
from tfagents_system.dataflow.replay import Client
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import NotSaved
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import LearnerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.learning import checkpoint, policy_export
from tfagents_system.learning.agent_state import AgentWriter

logger = logging.getLogger(__name__)


class Saver:
    """Writes policy checkpoints and joint checkpoints, one after the other.

    The agent is written in the thread that calls `save`, because it must not train
    meanwhile. The replay, seconds for a large one, is added in a thread of the saver's.
    """

    def __init__(
        self,
        experiment: Experiment,
        agent: tf_agent.TFAgent,
        client: Client,
        codec: RowCodec,
        status: StatusWriter[LearnerStatus],
        num_policy_checkpoints: int,
    ) -> None:
        """Writes nothing yet.

        Args:
          experiment: The experiment.
          agent: The agent, already restored.
          client: Client of the replay server.
          codec: Layout of the rows.
          status: Says what could not be saved.
          num_policy_checkpoints: Newest policy checkpoints to keep; 0: all.
        """
        self._experiment, self._agent = experiment, agent
        self._client, self._codec = client, codec
        self._line = Line(checkpoint.WRITING_SILENCE_SECS)
        self._status = status
        self._num_policy_checkpoints = num_policy_checkpoints
        self._exporter = policy_export.PolicyExporter(experiment, agent)
        self._writer = AgentWriter(agent)
        # The training thread saves and, once that has ended, the main thread.
        self._lock = threading.Lock()
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._last: Future[None] = _completed()
        self._models_error: NotSaved | None = None

    def export_saved_models(self) -> None:
        """Writes the SavedModels of the policies; in the thread that trains.

        Where that fails, because the disk is full for example, the status says so, and
        each `save` tries again.

        Raises:
          NotSaved: They are not written, or not all.
        """
        try:
            self._exporter.export_saved_models()
        except NotSaved as error:
            self._models_error = error
            self._report(error)
            raise
        self._models_error = None

    def save(self, is_stopping: bool = False) -> Future[None]:
        """Saves the agent as it is now; in the thread that trains.

        The first time, the policies are exported as SavedModels, too. Where any of it
        fails, because the disk is full for example, training goes on; the status says
        so.

        Args:
          is_stopping: There is no time to lose: export them only if there are none.

        Returns:
          Completed when the joint checkpoint is; `NotSaved` where it is not.
        """
        with self._lock:
            error = self._last.exception()
            if error is not None and not isinstance(error, NotSaved):
                raise error
            self._last = self._begin(is_stopping)
            return self._last

    def _begin(self, is_stopping: bool) -> Future[None]:
        """Writes the agent; begins to write the replay; in the thread that trains."""
        try:
            self._exporter.export_checkpoint()
            train_step = checkpoint.write_learner(
                self._experiment, self._agent, self._writer
            )
        except NotSaved as error:
            self._report(error)
            return _completed(error)
        policy_export.remove_old_checkpoints(
            self._experiment, self._num_policy_checkpoints
        )
        has_models = self._exporter.has_saved_models or (
            is_stopping and self._exporter.models_are_there()
        )
        if not has_models:
            with contextlib.suppress(NotSaved):  # The next save tries again.
                self.export_saved_models()
        if train_step is None:  # It is saved already.
            self._report(None)
            return _completed()
        return self._thread.submit(self._complete, train_step)

    def _complete(self, train_step: int) -> None:
        """Writes the replay; in the saver's own thread."""
        try:
            checkpoint.complete(
                self._experiment, train_step, self._client, self._line, self._codec
            )
        except NotSaved as error:
            self._report(error)
            raise
        self._report(None)

    def _report(self, error: NotSaved | None) -> None:
        """Writes into the status what went wrong, or that nothing did; any thread."""
        if error is not None:
            logger.error("%s", error)
        with self._status.edit(write_now=True) as status:
            # The status must not be behind a checkpoint.
            status.train_step = int(self._agent.train_step_counter.numpy())
            status.problem = str(error or self._models_error or "")


def _completed(error: Exception | None = None) -> Future[None]:
    """Returns a future that is over."""
    future: Future[None] = Future()
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
    return future
