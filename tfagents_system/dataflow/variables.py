"""The newest policy variables, from the learner to the workers, and how often.

The table holds one policy: the id of its run, its train step, its variables. Whoever
reaches the replay server's port can put anything there, and a restored replay brings
the policy of a former run. So a policy is taken only if it is of this run and fits.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import reverb
from numpy.typing import NDArray
from tf_agents.agents import tf_agent

from tfagents_system.algorithm.packed_variables import PackedVariables
from tfagents_system.dataflow import replay
from tfagents_system.dataflow.deadline import Line, NoAnswer

# Gradient steps between two policies, however long an iteration is. In other libraries
# the newest policy always acts.
PUBLISH_PERIOD_TRAIN_STEPS = 100
# Seconds between two pulls of a worker. A pull takes about 2 ms: less than one percent
# of its time.
PULL_PERIOD_SECS = 0.5
RETRY_SECS = 1.0

# The learner's main thread looks after the policy, and must hear of a stop.
GUARD_ANSWER_SECS = 2.0

# What a call to a replay server that goes away, or is stopped, raises.
_CALL_ERRORS = (reverb.errors.ReverbError, RuntimeError, NoAnswer)

logger = logging.getLogger(__name__)


def policy_variables(agent: tf_agent.TFAgent) -> PackedVariables:
    """Returns what acting needs, as it is published."""
    variables = {
        id(variable): variable
        for policy in (agent.collect_policy, agent.policy)
        for variable in policy.variables()
    }
    return PackedVariables(list(variables.values()))


@dataclasses.dataclass(frozen=True)
class PublishedPolicy:
    """One version of the policy.

    Attributes:
      run_id: Of the run whose learner published it.
      train_step: Gradient steps that made it.
      packed: What `policy_variables` holds.
    """

    run_id: str
    train_step: int
    packed: NDArray[np.uint8]


class PolicyPublisher:
    """Puts the learner's policy where the workers find it.

    Attributes:
      run_id: Of this run.
      num_bytes: How large a policy is.
      last: What was published last, for a replay server that lost it.
    """

    def __init__(
        self, agent: tf_agent.TFAgent, client: reverb.Client, run_id: str
    ) -> None:
        """Publishes nothing yet.

        Args:
          agent: Whose policy.
          client: Client of the replay server.
          run_id: Of this run.
        """
        self._train_step = agent.train_step_counter
        self._variables = policy_variables(agent)
        self._client, self._line = client, Line()
        self.run_id = run_id
        self.num_bytes = self._variables.num_bytes
        self.last: PublishedPolicy | None = None

    def publish(self) -> None:
        """Publishes the policy as it is now; waits while the replay server is away."""
        while not self.try_publish():
            time.sleep(RETRY_SECS)

    def try_publish(self) -> bool:
        """Publishes the policy as it is now; returns whether that worked."""
        train_step = int(self._train_step.numpy())
        self.last = PublishedPolicy(self.run_id, train_step, self._variables.read())
        return publish(self._client, self._line, self.last)


def publish(client: reverb.Client, line: Line, policy: PublishedPolicy) -> bool:
    """Publishes a policy; returns whether the replay server took it.

    Args:
      client: Client of the replay server.
      line: The caller's line to it.
      policy: The policy.
    """
    row = [
        np.frombuffer(policy.run_id.encode(), np.uint8),
        np.int64(policy.train_step),
        policy.packed,
    ]
    try:
        line.call(
            lambda: client.insert(row, {replay.VARIABLES_TABLE: 1.0}),
            "publishing the policy",
        )
    except _CALL_ERRORS as error:
        logger.warning("policy not published, trying again: %s", error)
        return False
    return True


class PolicyPuller:
    """Pulls the newest policy of this run, and refuses any other.

    A refusal is logged once, until there is a good one again.
    """

    def __init__(
        self, client: reverb.Client, line: Line, run_id: str, num_bytes: int
    ) -> None:
        """Pulls nothing yet.

        Args:
          client: Client of the replay server.
          line: The caller's line to it.
          run_id: Of this run.
          num_bytes: How large its policies are.
        """
        self._client, self._line = client, line
        self._run_id, self._num_bytes = run_id, num_bytes
        self._refused = ""

    def pull(self) -> PublishedPolicy | None:
        """Returns the newest policy; call it when one has been published.

        With none there it would wait in Reverb.

        Returns:
          The policy; None if what is there is not of this run, or if the replay server
          does not answer.
        """
        try:
            sample = self._line.call(self._sample, "pulling the policy")
        except _CALL_ERRORS as error:
            logger.warning("policy not pulled: %s", error)
            return None
        try:
            policy = self._check(sample)
        except ValueError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                logger.warning("a policy was refused: %s", error)
            return None
        self._refused = ""
        return policy

    def _sample(self) -> Sequence[Any]:
        sample = next(self._client.sample(replay.VARIABLES_TABLE, emit_timesteps=False))
        return list(sample.data)

    def _check(self, columns: Sequence[Any]) -> PublishedPolicy:
        """Makes a policy of what was in the table.

        Raises:
          ValueError: It is no policy of this run.
        """
        shapes = [(str(column.dtype), column.shape) for column in columns]
        run_id = np.frombuffer(self._run_id.encode(), np.uint8)
        # Reverb adds a leading dimension of one time step.
        wanted: list[tuple[str, tuple[int, ...]]] = [
            ("uint8", (1, len(run_id))),
            ("int64", (1,)),
            ("uint8", (1, self._num_bytes)),
        ]
        if shapes != wanted:
            raise ValueError(
                f"it is not of this run, or damaged: it has {shapes}, not {wanted}"
            )
        found_id, train_step, packed = (column[0] for column in columns)
        if not np.array_equal(found_id, run_id):
            raise ValueError("it is of another run, or of a stranger")
        return PublishedPolicy(self._run_id, int(train_step), packed)


class PolicyGuard:
    """Puts the policy back where it was lost, or replaced by a stranger's."""

    def __init__(self, publisher: PolicyPublisher, client: reverb.Client) -> None:
        """Does nothing yet.

        Args:
          publisher: Of the learner.
          client: A client of its own, for another thread than the publisher's.
        """
        self._publisher, self._client = publisher, client
        self._line = Line(GUARD_ANSWER_SECS)
        self._puller = PolicyPuller(
            client, self._line, publisher.run_id, publisher.num_bytes
        )

    def check(self, info: replay.ReplayInfo) -> None:
        """Publishes the last policy again unless the replay server has one of this run.

        Args:
          info: What the replay server has just said of itself.
        """
        last = self._publisher.last
        if last is None or (info.has_policy and self._puller.pull() is not None):
            return
        logger.warning("the replay server has no policy of this run; publishing again")
        publish(self._client, self._line, last)


class PolicyClient:
    """Gets the learner's newest policy for a worker.

    Attributes:
      train_step: Gradient steps that made the policy it has; 0 before the first.
      lag_train_steps: Gradient steps taken while the worker acted with the one before.
    """

    def __init__(
        self, agent: tf_agent.TFAgent, client: reverb.Client, run_id: str
    ) -> None:
        """Pulls nothing yet.

        Args:
          agent: Built as the learner's; the variables of its policies are assigned.
          client: Client of the replay server.
          run_id: Of this run.
        """
        self._client = client
        self._variables = policy_variables(agent)
        self._puller = PolicyPuller(client, Line(), run_id, self._variables.num_bytes)
        self._has_policy = False
        self._pulled_at = 0.0
        self.train_step = 0
        self.lag_train_steps = 0

    def pull(self) -> tuple[replay.ReplayInfo | None, bool]:
        """Takes the newest policy if there is one.

        Returns:
          What the replay server says of itself, None if it does not answer; and
          whether there was a policy of this run.
        """
        self._pulled_at = time.monotonic()
        info = replay.read_replay(self._client)
        if info is None or not info.has_policy:
            return info, False
        policy = self._puller.pull()
        if policy is None:
            return info, False
        self._variables.assign(policy.packed)
        if self._has_policy:
            self.lag_train_steps = max(0, policy.train_step - self.train_step)
        self._has_policy = True
        self.train_step = policy.train_step
        return info, True

    def pull_if_due(self) -> bool:
        """Takes the newest policy about twice a second; returns whether it did.

        Without an answer the worker goes on with the policy that it has.
        """
        if time.monotonic() - self._pulled_at < PULL_PERIOD_SECS:
            return False
        return self.pull()[1]
