"""What a generation holds: the learner's state (`agent_state`) and the replay's.

The replay's are Reverb's files with the rows and the rate limiter, which counts the
env steps. The replay is saved while the learner trains on, so it may be some seconds
younger. Reverb keeps a single checkpoint and deletes everything else in its folder, so
the files are linked (not copied) out of it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import reverb
import tensorflow as tf
from tf_agents.agents import tf_agent

from tfagents_system.dataflow import replay, replay_files, rows
from tfagents_system.dataflow.deadline import Line, NoAnswer
from tfagents_system.errors import NotSaved, UserError
from tfagents_system.experiment import generations, progress
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.generations import Generation
from tfagents_system.host.files import describe_free_space
from tfagents_system.learning import agent_state
from tfagents_system.learning.agent_state import AgentWriter

_LEARNER = "learner"
_REPLAY = "replay"
# Names that Reverb gives its checkpoints: the time of day.
_REVERB_NAME = re.compile(r"\d{4}-\d\d-\d\dT.*")

# A checkpoint is given up when the replay server has written nothing for so long.
WRITING_SILENCE_SECS = 20.0

_ADVICE = "choose a new SAC_EXP_NAME"

logger = logging.getLogger(__name__)


def row_layout(codec: rows.RowCodec) -> str:
    """Describes how rows lie in the replay's files."""
    return str(
        [
            (s.name, s.shape.as_list(), s.dtype.name)
            for s in replay.item_signature(codec)
        ]
    )


def write_learner(
    experiment: Experiment, agent: tf_agent.TFAgent, writer: AgentWriter
) -> int | None:
    """Begins a generation with the learner's state; `complete` ends it.

    Args:
      experiment: The experiment.
      agent: The agent; it must not train meanwhile, but may during `complete`.
      writer: Writes it.

    Returns:
      The train step saved, or None if the newest generation already has it.

    Raises:
      NotSaved: The disk is full, for example.
    """
    train_step = int(agent.train_step_counter.numpy())
    with _all_or_nothing(experiment, (OSError, tf.errors.OpError)):
        newest = generations.list_generations(experiment)[:1]
        if newest and newest[0].train_step == train_step:
            return None
        writer.write(generations.begin(experiment) / _LEARNER)
    return train_step


def complete(
    experiment: Experiment,
    train_step: int,
    client: reverb.Client,
    line: Line,
    codec: rows.RowCodec,
) -> Generation:
    """Adds the replay to what `write_learner` wrote.

    Args:
      experiment: The experiment.
      train_step: What that returned.
      client: Client of the replay server.
      line: The caller's line to it.
      codec: Layout of the rows.

    Raises:
      NotSaved: The replay server went away, or the disk is full, for example.
    """
    started = time.monotonic()
    partial = generations.partial_folder(experiment)
    # Whatever a call to Reverb raises: a full disk is an IndexError.
    with _all_or_nothing(experiment, (Exception,)):
        saved = partial / _REPLAY / _write_replay(experiment, client, line).name
        num_inserts = replay_files.read_num_inserts(saved)
        generation = generations.complete(
            experiment,
            train_step=train_step,
            env_steps=codec.rows_per_item * num_inserts,
            episodes=progress.count_episodes(experiment),
            row_layout=row_layout(codec),
        )
    logger.info(
        "checkpoint at train step %d, env step %d (%.1f s)",
        generation.train_step,
        generation.env_steps,
        time.monotonic() - started,
    )
    return generation


@contextlib.contextmanager
def _all_or_nothing(
    experiment: Experiment, expected: tuple[type[Exception], ...]
) -> Iterator[None]:
    """Removes what was written if it cannot be all: it may be what fills the disk.

    Raises:
      NotSaved: One of the expected errors came.
    """
    try:
        yield
    except expected as error:
        free_space = describe_free_space(experiment.root)
        generations.abandon(experiment)
        raise NotSaved.because(error, free_space) from error


def _write_replay(experiment: Experiment, client: reverb.Client, line: Line) -> Path:
    """Has the replay server write its state; links that into the new generation.

    Returns:
      What the replay server wrote.

    Raises:
      Exception: It could not.
    """
    folder = experiment.make_folder(experiment.replay)
    _remove_foreign_files(experiment)
    # A server that is stopped would be waited for much longer below.
    if replay.read_replay(client) is None:
        raise NoAnswer("the replay server does not answer")

    def begin() -> str:
        # Reverb keeps the one whose name is the largest, which is the time: after the
        # clock was set back that would be an older one. Only now, when no call before
        # this one is under way any more.
        _empty(folder)
        return Path(client.checkpoint()).name

    try:
        name = line.call(begin, "it writes the replay", lambda: _size(folder))
    except Exception:
        # What it has written may be what fills the disk. Not in other cases: a server
        # that starts again finds there what it restores.
        _empty(folder)
        raise
    saved = folder / name
    # A server that restarts right now removes it: then there is no checkpoint.
    _link_files(saved, generations.partial_folder(experiment) / _REPLAY / saved.name)
    return saved


def _size(folder: Path) -> int:
    """Returns how many bytes the files in a folder have now."""
    size = 0
    with contextlib.suppress(FileNotFoundError):  # Reverb has just renamed one.
        for path in folder.rglob("*"):
            size += path.stat().st_size
    return size


def _empty(folder: Path) -> None:
    """Removes Reverb's checkpoints: what counts of them is linked to generations."""
    for path in folder.glob("*"):
        if _REVERB_NAME.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def restore_learner(experiment: Experiment, agent: tf_agent.TFAgent) -> int:
    """Restores the agent from the newest intact generation, if there is one.

    Returns:
      The train step: 0 without a generation.

    Raises:
      UserError: The checkpoint does not fit the agent, as after a changed network, or
        none is left that can be used.
    """
    with generations.locked(experiment):
        generation = generations.newest_intact(experiment)
        if generation is None:
            return 0
        agent_state.restore(agent, generation.path / _LEARNER, _ADVICE)
    logger.info("restored %s", generation.path)
    return int(agent.train_step_counter.numpy())


def check_row_layout(generation: Generation, codec: rows.RowCodec) -> None:
    """Checks that the rows of a generation can be read and added to.

    Raises:
      UserError: They lie otherwise.
    """
    if generation.row_layout != row_layout(codec):
        raise UserError(
            f"{generation.path} has rows of another layout ({generation.row_layout} "
            f"instead of {row_layout(codec)}), as another version of this package "
            f"writes them; use that version, or {_ADVICE}"
        )


def check_resume(
    experiment: Experiment, agent: tf_agent.TFAgent, codec: rows.RowCodec
) -> None:
    """Checks that learner and replay will be able to restore.

    Raises:
      UserError: What does not fit, or no checkpoint is left that can be used.
    """
    if restore_learner(experiment, agent):
        check_row_layout(generations.list_generations(experiment)[0], codec)


def restore_replay_files(
    experiment: Experiment, codec: rows.RowCodec, table: reverb.Table
) -> Generation | None:
    """Puts the newest intact generation's replay where Reverb looks for it, alone.

    Reverb's own newest checkpoint may be younger than the generation (the learner
    was killed before it could complete one); then the two would not fit.

    Args:
      experiment: The experiment.
      codec: Layout of the rows.
      table: The experience table as this run makes it; the files get its settings.

    Returns:
      The generation; None if the replay starts empty.

    Raises:
      UserError: The rows are of another layout, or a file cannot be read now.
    """
    experiment.make_folder(experiment.replay)
    _remove_foreign_files(experiment)
    _empty(experiment.replay)
    with generations.locked(experiment):
        try:
            generation = generations.newest_intact(experiment)
        except generations.Unreadable:
            raise
        except UserError as error:
            # A launcher would refuse to start; a learner that is running trains on.
            logger.error("the replay starts empty: %s", error)
            return None
        if generation is None:
            return None
        check_row_layout(generation, codec)
        for saved in (generation.path / _REPLAY).iterdir():
            folder = experiment.replay / saved.name
            _link_files(saved, folder)
            for change in replay_files.apply_settings(folder, table):
                logger.warning("changed since the checkpoint: %s", change)
    return generation


def _remove_foreign_files(experiment: Experiment) -> None:
    """Moves away files of others: Reverb might delete its own checkpoint for them."""
    for path in experiment.replay.iterdir():
        if not (path.is_dir() and _REVERB_NAME.fullmatch(path.name)):
            target = experiment.root / f"from_replay_{path.name}_{time.time_ns()}"
            path.rename(target)
            logger.warning("%s does not belong there; moved to %s", path, target)


def _link_files(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in source.iterdir():
        try:
            os.link(path, target / path.name)
        except OSError:  # A file system without hard links.
            shutil.copy2(path, target / path.name)
