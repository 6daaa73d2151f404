"""The snapshots of params file and JSON: what an experiment was begun with.

One rule for many processes and for one: the first start copies both files into the
experiment directory, and from then on the copies count. To change a setting of a
training that has begun, edit the copy; a note points out an original that differs.
"""

from __future__ import annotations

import filecmp
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, run_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host import files
from tfagents_system.host.files import read_json
from tfagents_system.settings import configuration, params_file
from tfagents_system.train_params_base import TrainParamsBase


def load(experiment: Experiment) -> TrainParamsBase:
    """Loads the user's `TrainParams` from the snapshots.

    Raises:
      UserError: A snapshot does not load.
    """
    config = configuration.load_config(experiment.config)
    # What the snapshot imports lies beside the original.
    folder = run_file.params_folder(experiment)
    return params_file.load_params(experiment.params, config, TrainParamsBase, folder)


def choose_params(
    experiment: Experiment, original: Path, named_by: str = "SAC_PARAMS"
) -> Path:
    """Chooses the snapshot of the params file if there is one, or the original.

    Args:
      experiment: The experiment.
      original: The user's params file.
      named_by: The variable or flag that names it.

    Raises:
      UserError: There is neither.
    """
    is_same = _is_there(experiment, experiment.params) and (
        not original.is_file()
        or filecmp.cmp(experiment.params, original, shallow=False)
    )
    return _choose(experiment, experiment.params, original, named_by, is_same)


def choose_config(
    experiment: Experiment,
    original: Path,
    named_by: str = "SAC_CONFIG",
    added: Collection[str] = (),
    train_params: Mapping[str, Any] | None = None,
) -> Path:
    """Chooses the snapshot of the JSON if there is one, or the original.

    Args:
      experiment: The experiment.
      original: The user's JSON.
      named_by: The variable or flag that names it.
      added: Keys that the framework sets in a snapshot, beside a horizon.
      train_params: What wins over the `train_params` of the original.

    Raises:
      UserError: There is neither.
    """
    is_same = _is_there(experiment, experiment.config) and (
        not original.is_file()
        or _is_same_config(experiment.config, original, added, train_params)
    )
    return _choose(experiment, experiment.config, original, named_by, is_same)


def _is_there(experiment: Experiment, snapshot: Path) -> bool:
    """Returns whether there is a snapshot.

    An empty one was left by a full disk, in versions before snapshots were renamed into
    place. It is written again, unless a training has got on with it.
    """
    try:
        is_empty = snapshot.stat().st_size == 0
    except FileNotFoundError:
        return False
    return not is_empty or identity.has_checkpoint(experiment)


def _choose(
    experiment: Experiment,
    snapshot: Path,
    original: Path,
    named_by: str,
    is_same: bool,
) -> Path:
    if not _is_there(experiment, snapshot):
        if not original.is_file():
            raise UserError(f"{named_by}: no file {original}")
        return original
    if not is_same:
        print(
            f"note: {original} differs from the snapshot {snapshot}, which this "
            "training uses. To change a setting edit the snapshot, or begin a new "
            "experiment.",
            file=sys.stderr,
        )
    return snapshot


def _is_same_config(
    snapshot: Path,
    original: Path,
    added: Collection[str],
    train_params: Mapping[str, Any] | None,
) -> bool:
    """Returns whether two JSON files say the same, apart from what was added."""
    try:
        kept = read_json(snapshot)
        given = configuration.merge(configuration.load_config(original), train_params)
    except UserError:
        return False
    if isinstance(kept, dict):
        kept, given = (
            {key: value for key, value in config.items() if key not in added}
            for config in (kept, given)
        )
        if "horizon" in kept:  # The environment's own, see `write_config`.
            given.setdefault("horizon", kept["horizon"])
    # As text: 1, 1.0 and true are equal in Python.
    texts = [json.dumps(config, sort_keys=True) for config in (kept, given)]
    return texts[0] == texts[1]


def load_config(
    experiment: Experiment, source: Path, train_params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Loads the chosen JSON; an original gets what wins over its `train_params`.

    Raises:
      UserError: It does not load.
    """
    won = None if source == experiment.config else train_params
    return configuration.merge(configuration.load_config(source), won)


def write_config(
    experiment: Experiment,
    source: Path,
    horizon: int,
    train_params: Mapping[str, Any] | None = None,
) -> None:
    """Writes the snapshot of the JSON: a copy, unless something is added to it.

    Every process reads the horizon there.

    Args:
      experiment: The experiment.
      source: The chosen JSON.
      horizon: Env steps of the longest episode, if the JSON has none.
      train_params: What wins over the `train_params` of an original.
    """
    given = configuration.load_config(source)
    won = None if source == experiment.config else train_params
    config = {"horizon": horizon, **configuration.merge(given, won)}
    if config != given:
        files.write_json(experiment.config, config, durable=True)
    elif not _is_there(experiment, experiment.config):
        files.copy(source, experiment.config)


def write_params(experiment: Experiment, source: Path) -> None:
    """Writes the snapshot of the params file, unless there is one."""
    if not _is_there(experiment, experiment.params):
        files.copy(source, experiment.params)
