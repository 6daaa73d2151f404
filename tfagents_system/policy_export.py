"""Exports policies under TF-Agents' names, for evaluation and deployment.

policies/greedy_policy, policies/collect_policy     SavedModels
policies/checkpoints/policy_checkpoint_0000500000   variables at a train step
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tf_agents.agents import tf_agent
from tf_agents.policies import greedy_policy, policy_saver

from tfagents_system.errors import UserError
from tfagents_system.experiment import Experiment

GREEDY_POLICY = "greedy_policy"
CHECKPOINT_PREFIX = "policy_checkpoint_"
LATEST = "latest"


class PolicyExporter:
    """Writes the SavedModels and policy checkpoints of one agent."""

    def __init__(self, experiment: Experiment, agent: tf_agent.TFAgent) -> None:
        """Traces the policies.

        Args:
          experiment: Where to write.
          agent: The agent; its variables are read at each call.
        """
        self._experiment = experiment
        self._train_step = agent.train_step_counter
        self._savers = {
            GREEDY_POLICY: policy_saver.PolicySaver(
                greedy_policy.GreedyPolicy(agent.policy), train_step=self._train_step
            ),
            "collect_policy": policy_saver.PolicySaver(
                agent.collect_policy, train_step=self._train_step
            ),
        }

    def export_saved_models(self) -> None:
        """Writes the SavedModels, also over older ones (a network may differ)."""
        for name, saver in self._savers.items():
            path = self._experiment.policies / name
            partial = path.with_name(f".{name}")
            shutil.rmtree(partial, ignore_errors=True)
            saver.save(str(partial))
            shutil.rmtree(path, ignore_errors=True)
            partial.rename(path)

    def export_checkpoint(self) -> None:
        """Writes the greedy policy's variables at this train step, if not there yet."""
        train_step = int(self._train_step.numpy())
        path = self._experiment.policy_checkpoints / (
            f"{CHECKPOINT_PREFIX}{train_step:010d}"
        )
        if not path.exists():
            self._savers[GREEDY_POLICY].save_checkpoint(str(path))


def find_checkpoint(experiment: Experiment, name: str) -> Path:
    """Finds a policy checkpoint.

    Args:
      experiment: The experiment.
      name: Name of a folder in policies/checkpoints, or `latest`.

    Returns:
      Its folder.

    Raises:
      UserError: There is none of that name; the message lists what there is.
    """
    folder = experiment.policy_checkpoints
    names = sorted(path.name for path in folder.glob(f"{CHECKPOINT_PREFIX}*"))
    if not names:
        raise UserError(f"no policy checkpoints in {folder}; has training begun?")
    chosen = names[-1] if name == LATEST else name
    if chosen not in names:
        shown = ", ".join(names[-5:])
        raise UserError(f"no checkpoint {name} in {folder}; the last are: {shown}")
    return folder / chosen
