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
