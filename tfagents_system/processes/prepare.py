"""Checks everything and writes the experiment directory, before anything is started.

The launcher runs it as a process of its own: it imports TensorFlow and builds the
user's environment, and the launcher stays small. Its messages go to stderr; stdout is
for what the libraries print when they are loaded.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import rate_limiter, rows
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, snapshots
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host import memory
from tfagents_system.learning import checkpoint, rehearsal
from tfagents_system.processes import startup
from tfagents_system.settings import params_file
from tfagents_system.settings.hyperparameters import Hyperparameters
from tfagents_system.train_params_base import TrainParamsBase


def prepare(
    experiment: Experiment,
    params_path: Path,
    config_path: Path,
    train_params: Mapping[str, Any] | None = None,
) -> int:
    """Checks params, config and environment; writes snapshots and specs.

    Nothing is written unless all is well, so that a first attempt that fails leaves
    no snapshot of its mistake. Where training is complete nothing is checked either,
    unless it has been made longer since: then it is not complete any more.

    Args:
      experiment: The experiment.
      params_path: The user's params file.
      config_path: The user's JSON.
      train_params: Hyperparameters by name, which win over those of the JSON.

    Returns:
      The memory of the full replay, bytes; 0 where training is complete.

    Raises:
      UserError: Anything that would fail later.
    """
    config_source = snapshots.choose_config(
        experiment, config_path, train_params=train_params
    )
    params_source = snapshots.choose_params(experiment, params_path)
    config = snapshots.load_config(experiment, config_source, train_params)
    params = params_file.load_params(
        params_source, config, TrainParamsBase, params_path.parent
    )
    if experiment.is_trained_for(params.total_train_steps):
        return 0
    params, specs, agent = rehearsal.rehearse(params, params_source, config_source)
    codec = rows.RowCodec.of(params, specs)
    _write_specs(experiment, specs)
    if experiment.checkpoints.exists():
        checkpoint.check_resume(experiment, agent, codec)
    else:
        identity.check_nothing_is_lost(experiment)
    horizon = params.env_config["horizon"]
    snapshots.write_config(experiment, config_source, horizon, train_params)
    snapshots.write_params(experiment, params_source)
    experiment.done.unlink(missing_ok=True)  # It has been made longer since.
    return _describe(params, specs, codec)


def _write_specs(experiment: Experiment, specs: Specs) -> None:
    """Writes the specs of the environment, or compares them with what is there.

    Raises:
      UserError: The experiment was begun with another environment.
    """
    with tempfile.TemporaryDirectory() as folder:
        new_specs = Path(folder) / "specs.pbtxt"
        specs.save(new_specs)
        if not experiment.specs.exists():
            shutil.copy(new_specs, experiment.specs)
        elif new_specs.read_text() != experiment.specs.read_text():
            raise UserError(
                f"the environment now has {specs}, which is not what "
                f"{experiment.specs} says; choose a new SAC_EXP_NAME"
            )


def _describe(params: Hyperparameters, specs: Specs, codec: rows.RowCodec) -> int:
    """Says what will be trained; returns the bytes of the full replay."""
    pacing = rate_limiter.make_pacing(params, codec)
    needed = memory.replay_bytes(
        pacing.capacity, codec.bytes_per_row, codec.rows_per_item
    )
    print(
        f"Environment: {specs}\n"
        f"Replay: {pacing.capacity:,} transitions, {needed / 1e9:.2f} GB when full; "
        f"learning starts at {pacing.min_size:,}; {pacing.samples_per_insert:g} "
        "samples per insert",
        file=sys.stderr,
    )
    shortage = memory.describe_shortage(needed, memory.available_bytes())
    if shortage:
        print(shortage, file=sys.stderr)
    return needed


def main() -> int:
    """Runs from the command line."""
    experiment = startup.open_experiment()
    train_params = json.loads(flags.FLAGS.train_params)
    replay_bytes = prepare(
        experiment, Path(flags.FLAGS.params), Path(flags.FLAGS.config), train_params
    )
    if flags.FLAGS.result_fd is not None:
        with os.fdopen(flags.FLAGS.result_fd, "w") as result:
            result.write(str(replay_bytes))
    return 0
