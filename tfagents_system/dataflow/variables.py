"""The newest policy variables, from the learner to the workers, and how often."""

from __future__ import annotations

import dataclasses
import logging
import time

import numpy as np
import reverb
from numpy.typing import NDArray
from tf_agents.agents import tf_agent

from tfagents_system.algorithm.packed_variables import PackedVariables
from tfagents_system.dataflow import replay

# Gradient steps between two policies, however long an iteration is. In other libraries
# the newest policy always acts.
PUBLISH_PERIOD_TRAIN_STEPS = 100
# Seconds between two pulls of a worker. A pull takes about 2 ms: less than one percent
# of its time.
PULL_PERIOD_SECS = 0.5
RETRY_SECS = 1.0

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
      train_step: Gradient steps that made it.
      packed: What `policy_variables` holds.
    """

    train_step: int
    packed: NDArray[np.uint8]


class PolicyPublisher:
    """Puts the learner's policy where the workers find it.

    Attributes:
      last: What was published last, for a replay server that lost it.
    """

    def __init__(self, agent: tf_agent.TFAgent, client: reverb.Client) -> None:
        """Publishes nothing yet.

        Args:
          agent: Whose policy.
          client: Client of the replay server.
        """
        self._train_step = agent.train_step_counter
        self._variables = policy_variables(agent)
        self._client = client
        self.last: PublishedPolicy | None = None

    def publish(self) -> None:
        """Publishes the policy as it is now; waits while the replay server is away."""
        train_step = int(self._train_step.numpy())
        self.last = PublishedPolicy(train_step, self._variables.read())
        publish(self._client, self.last)


def publish(client: reverb.Client, policy: PublishedPolicy) -> None:
    """Publishes a policy; waits while the replay server is away."""
    while True:
        try:
            client.insert(
                [np.int64(policy.train_step), policy.packed],
                {replay.VARIABLES_TABLE: 1.0},
            )
            return
        # A server that goes away during the call is an error; while it is away the
        # call waits.
        except (reverb.errors.ReverbError, RuntimeError) as error:
            logger.warning("policy not published, trying again: %s", error)
            time.sleep(RETRY_SECS)


class PolicyClient:
    """Gets the learner's newest policy for a worker.

    Attributes:
      train_step: Gradient steps that made the policy it has; 0 before the first.
      lag_train_steps: Gradient steps taken while the worker acted with the one before.
    """

    def __init__(self, agent: tf_agent.TFAgent, client: reverb.Client) -> None:
        """Pulls nothing yet.

        Args:
          agent: Built as the learner's; the variables of its policies are assigned.
          client: Client of the replay server.
        """
        self._client = client
        self._variables = policy_variables(agent)
        self._has_policy = False
        self._pulled_at = 0.0
        self.train_step = 0
        self.lag_train_steps = 0

    def pull(self) -> tuple[replay.ReplayInfo | None, bool]:
        """Takes the newest policy if there is one.

        Returns:
          What the replay server says of itself, None if it does not answer; and
          whether there was a policy.
        """
        self._pulled_at = time.monotonic()
        info = replay.read_replay(self._client)
        if info is None or not info.has_policy:
            return info, False
        policy = pull_policy(self._client)
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


def pull_policy(client: reverb.Client) -> PublishedPolicy | None:
    """Returns the newest policy; call it when one has been published.

    With none there it would wait in Reverb, which no signal handler interrupts.

    Returns:
      The policy, or None if the replay server went away meanwhile.
    """
    try:
        sample = next(client.sample(replay.VARIABLES_TABLE, emit_timesteps=False))
    except (reverb.errors.ReverbError, RuntimeError) as error:
        logger.warning("policy not pulled: %s", error)
        return None
    # Reverb adds a leading dimension of one time step.
    train_step, packed = (array[0] for array in sample.data)
    return PublishedPolicy(int(train_step), packed)
