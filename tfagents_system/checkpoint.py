"""Joint checkpoints of learner and replay: complete, or not used.

A generation is one folder with the learner's state (networks, targets, optimizers,
alpha, train_step), Reverb's checkpoint (rows, rate limiter, env steps) and a
manifest. It is made under another name and renamed when it is complete. The replay is
saved while the learner trains on, so it may be some seconds younger. Reverb keeps
a single checkpoint and deletes what else it finds in its folder, so the files are
linked (not copied) out of it.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

import reverb
import tensorflow as tf
from tf_agents.agents import tf_agent

from tfagents_system.errors import UserError
from tfagents_system.experiment import Experiment, read_json, write_json

NUM_KEPT = 2
_PREFIX = "generation_"
_PARTIAL = "partial"
_MANIFEST = "manifest.json"

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Generation:
    """One complete joint checkpoint.

    Attributes:
      path: Its folder.
      train_step: Gradient steps done.
    """

    path: Path
    train_step: int


def list_generations(experiment: Experiment) -> list[Generation]:
    """Returns the complete joint checkpoints, the newest first."""
    generations = []
    for path in sorted(experiment.checkpoints.glob(f"{_PREFIX}*"), reverse=True):
        if (path / _MANIFEST).is_file():
            manifest = read_json(path / _MANIFEST)
            generations.append(Generation(path, manifest["train_step"]))
    return generations


def write_learner(experiment: Experiment, agent: tf_agent.TFAgent) -> int | None:
    """Begins a generation with the learner's state; `complete` ends it.

    Args:
      experiment: The experiment.
      agent: The agent; must not train meanwhile. It may train on during `complete`.

    Returns:
      The train step saved, or None if the newest generation already has it.
    """
    train_step = int(agent.train_step_counter.numpy())
    newest = list_generations(experiment)[:1]
    if newest and newest[0].train_step == train_step:
        return None
    partial = experiment.checkpoints / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tf.train.Checkpoint(agent=agent).write(str(partial / "learner"))
    return train_step


def complete(experiment: Experiment, train_step: int, client: reverb.Client) -> bool:
    """Adds the replay to what `write_learner` wrote; removes old generations.

    Args:
      experiment: The experiment.
      train_step: What `write_learner` returned.
      client: Client of the replay server.

    Returns:
      Whether there is a new generation; False if the replay server could not save
      (logged; the last generation stays).
    """
    started = time.monotonic()
    partial = experiment.checkpoints / _PARTIAL
    try:
        replay_path = Path(client.checkpoint())
    except (reverb.errors.ReverbError, RuntimeError) as error:
        logger.warning("no checkpoint: the replay server did not save: %s", error)
        return False
    _link_files(replay_path, partial / "replay" / replay_path.name)
    write_json(partial / _MANIFEST, {"train_step": train_step, "time": time.time()})
    _sync(partial)
    partial.rename(experiment.checkpoints / f"{_PREFIX}{train_step:010d}")
    for old in list_generations(experiment)[NUM_KEPT:]:
        shutil.rmtree(old.path)
    logger.info(
        "checkpoint at train step %d (%.1f s)", train_step, time.monotonic() - started
    )
    return True


def restore_learner(experiment: Experiment, agent: tf_agent.TFAgent) -> int:
    """Restores the agent from the newest generation, if there is one.

    Returns:
      The train step: 0 without a generation.

    Raises:
      UserError: The checkpoint does not fit the agent, as after a changed network.
    """
    for generation in list_generations(experiment)[:1]:
        checkpoint = tf.train.Checkpoint(agent=agent)
        try:
            status = checkpoint.read(str(generation.path / "learner"))
            status.assert_existing_objects_matched()
        except (AssertionError, ValueError) as error:
            raise UserError(
                f"{generation.path} does not fit the agent ({error}); were the "
                "networks changed? Use a new SAC_EXP_NAME"
            ) from error
        logger.info("restored %s", generation.path)
    return int(agent.train_step_counter.numpy())


def restore_replay_files(experiment: Experiment) -> Generation | None:
    """Puts the newest generation's replay where Reverb looks for it, alone.

    Reverb's own newest checkpoint may be younger than the generation (the learner
    was killed before it could complete one); then the two would not fit.

    Returns:
      The generation, or None if there is none: the replay starts empty.
    """
    shutil.rmtree(experiment.replay, ignore_errors=True)
    experiment.replay.mkdir(parents=True)
    for generation in list_generations(experiment)[:1]:
        for path in (generation.path / "replay").iterdir():
            _link_files(path, experiment.replay / path.name)
        return generation
    return None


def _link_files(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in source.iterdir():
        try:
            os.link(path, target / path.name)
        except OSError:  # A file system without hard links.
            shutil.copy2(path, target / path.name)


def _sync(folder: Path) -> None:
    """Forces a folder tree to disk, so that a power cut cannot leave half of it."""
    paths: list[Any] = [folder, *folder.rglob("*")]
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
