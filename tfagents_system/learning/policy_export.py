"""Exports policies under TF-Agents' names, for evaluation and deployment.

policies/greedy_policy, policies/collect_policy     SavedModels
policies/checkpoints/policy_checkpoint_0000500000   variables at a train step
"""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.policies import (
    greedy_policy,
    policy_saver,
    py_tf_eager_policy,
    tf_policy,
)

from tfagents_system.errors import NotSaved, UserError
from tfagents_system.experiment import status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host import files

GREEDY_POLICY, COLLECT_POLICY = "greedy_policy", "collect_policy"
CHECKPOINT_PREFIX = "policy_checkpoint_"
LATEST, BEST = "latest", "best"


class PolicyExporter:
    """Writes the SavedModels and policy checkpoints of one agent."""

    def __init__(self, experiment: Experiment, agent: tf_agent.TFAgent) -> None:
        """Traces nothing yet: that takes seconds, and training need not wait for it.

        Args:
          experiment: Where to write.
          agent: The agent; its variables are read at each call.
        """
        self._experiment, self._agent = experiment, agent
        self._partial = experiment.policy_checkpoints / ".partial"
        self._train_step_of_models: int | None = None

    @property
    def has_saved_models(self) -> bool:
        """Whether this object has written the SavedModels, and that went well."""
        return self._train_step_of_models is not None

    def models_are_there(self) -> bool:
        """Returns whether the experiment has SavedModels, of whatever process."""
        names = (GREEDY_POLICY, COLLECT_POLICY)
        return all((self._experiment.policies / name).is_dir() for name in names)

    @functools.cached_property
    def _greedy_saver(self) -> policy_saver.PolicySaver:
        return self._make_saver(greedy_policy.GreedyPolicy(self._agent.policy))

    @functools.cached_property
    def _collect_saver(self) -> policy_saver.PolicySaver:
        return self._make_saver(self._agent.collect_policy)

    def _make_saver(self, policy: tf_policy.TFPolicy) -> policy_saver.PolicySaver:
        return policy_saver.PolicySaver(
            policy, train_step=self._agent.train_step_counter
        )

    @functools.cached_property
    def _write_checkpoint(self) -> Callable[[], None]:
        # Compiled, to one path: TensorFlow loses some memory with each eager write.
        write: Callable[[], None] = tf.function(
            lambda: self._greedy_saver.save_checkpoint(str(self._partial)),
            autograph=False,
        )
        return write

    def export_saved_models(self) -> None:
        """Writes the SavedModels over older ones, whose network may differ.

        Raises:
          NotSaved: The disk is full, for example.
        """
        train_step = int(self._agent.train_step_counter.numpy())
        if train_step == self._train_step_of_models:
            return
        self._train_step_of_models = None
        savers = {
            GREEDY_POLICY: self._greedy_saver,
            COLLECT_POLICY: self._collect_saver,
        }
        for name, saver in savers.items():
            partial = f".{name}"
            with self._all_or_nothing(self._experiment.policies / partial):
                self._experiment.make_folder(self._experiment.policies)
                with files.staying(self._experiment.policies) as folder:
                    saver.save(str(folder / partial))
                    shutil.rmtree(folder / name, ignore_errors=True)
                    (folder / partial).rename(folder / name)
        self._train_step_of_models = train_step

    def export_checkpoint(self) -> None:
        """Writes the greedy policy's variables at this train step, if not there yet.

        Raises:
          NotSaved: The disk is full, for example.
        """
        train_step = int(self._agent.train_step_counter.numpy())
        path = self._experiment.policy_checkpoints / (
            f"{CHECKPOINT_PREFIX}{train_step:010d}"
        )
        if path.exists():
            return
        with self._all_or_nothing(self._partial):
            self._experiment.make_folder(
                self._partial / tf.saved_model.VARIABLES_DIRECTORY
            )
            self._write_checkpoint()
            self._partial.rename(path)

    @contextlib.contextmanager
    def _all_or_nothing(self, partial: Path) -> Iterator[None]:
        """Removes a partial folder before it is written, and when it cannot be.

        Raises:
          NotSaved: It cannot.
        """
        shutil.rmtree(partial, ignore_errors=True)
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            free_space = files.describe_free_space(self._experiment.root)
            shutil.rmtree(partial, ignore_errors=True)
            raise NotSaved.because(error, free_space) from error


def list_checkpoints(experiment: Experiment) -> list[str]:
    """Returns the names of the policy checkpoints, the oldest first."""
    return sorted(
        path.name
        for path in experiment.policy_checkpoints.glob(f"{CHECKPOINT_PREFIX}*")
        if path.name.removeprefix(CHECKPOINT_PREFIX).isdecimal()
    )


def best_checkpoint(experiment: Experiment) -> str | None:
    """Returns the policy checkpoint nearest to the best evaluation of any worker.

    Returns:
      Its name; None before the first evaluation or checkpoint.
    """
    evaluations = [
        (worker.best_eval_return, worker.best_eval_train_step)
        for worker in status_file.read_workers(experiment)
        if worker.best_eval_return is not None
    ]
    names = list_checkpoints(experiment)
    if not evaluations or not names:
        return None
    _, train_step = max(evaluations)

    def distance(name: str) -> int:
        return abs(int(name.removeprefix(CHECKPOINT_PREFIX)) - train_step)

    return min(names, key=distance)


def remove_old_checkpoints(experiment: Experiment, num_kept: int) -> None:
    """Removes all policy checkpoints but the newest ones and the best one.

    Args:
      experiment: The experiment.
      num_kept: How many of the newest to keep; 0: all.
    """
    if not num_kept:
        return
    best = best_checkpoint(experiment)
    for name in list_checkpoints(experiment)[:-num_kept]:
        if name != best:
            shutil.rmtree(experiment.policy_checkpoints / name, ignore_errors=True)


def find_checkpoint(experiment: Experiment, name: str) -> Path:
    """Finds a policy checkpoint.

    Args:
      experiment: The experiment.
      name: Name of a folder in policies/checkpoints, `latest`, or `best`: nearest to
        the best evaluation.

    Returns:
      Its folder.

    Raises:
      UserError: There is no such checkpoint; the message lists the last ones.
    """
    folder = experiment.policy_checkpoints
    names = list_checkpoints(experiment)
    if not names:
        raise UserError(f"no policy checkpoints in {folder}; has training begun?")
    chosen = name
    if name == LATEST:
        chosen = names[-1]
    elif name == BEST:
        chosen = best_checkpoint(experiment) or names[-1]
    if chosen not in names:
        shown = ", ".join(names[-5:])
        raise UserError(f"no checkpoint {name} in {folder}; the last are: {shown}")
    return folder / chosen


def load_greedy_policy(
    experiment: Experiment, checkpoint: Path
) -> py_tf_eager_policy.SavedModelPyTFEagerPolicy:
    """Loads the greedy policy with the variables of a checkpoint.

    Args:
      experiment: The experiment.
      checkpoint: From `find_checkpoint`.

    Raises:
      UserError: The policy is not exported yet.
    """
    model = experiment.policies / GREEDY_POLICY
    if not model.is_dir():
        raise UserError(
            f"no policy in {model} yet; it is exported with the first checkpoint, "
            "where the disk has room"
        )
    policy = py_tf_eager_policy.SavedModelPyTFEagerPolicy(
        str(model), load_specs_from_pbtxt=True
    )
    policy.update_from_checkpoint(str(checkpoint))
    return policy
