"""What to train: flags, params file and JSON, or the copies of those in a directory."""

from __future__ import annotations

import dataclasses
import filecmp
import sys
import time
from pathlib import Path
from typing import Any

from tfagents_system.environments import horizon
from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, snapshots
from tfagents_system.experiment.directory import Experiment, resolve_path
from tfagents_system.host.files import read_json, write_bytes, write_json
from tfagents_system.one_process import flags
from tfagents_system.one_process.params import FlagParams
from tfagents_system.settings import configuration, params_file
from tfagents_system.train_params_base import TrainParamsBase

# The names of the flags that were given, in kwargs.json.
GIVEN_FLAGS = "given_flags"
# The params file of a training without one; run.py reads it.
FLAG_PARAMS_FILE = '''"""The flags of sac-train, which are in config.json."""

from tfagents_system.one_process.params import FlagParams


class TrainParams(FlagParams):
    """SAC as the flags say."""
'''


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What to train.

    Attributes:
      params: The `TrainParams`.
      params_path: The params file that it comes from, or where one will be.
      config_path: The JSON that it was built with, or kwargs.json.
      kwargs: All flags, by name.
      given_flags: Names of those that were given on a command line.
    """

    params: TrainParamsBase
    params_path: Path
    config_path: Path
    kwargs: dict[str, Any]
    given_flags: frozenset[str]


def read_saved(experiment: Experiment) -> dict[str, Any]:
    """Returns kwargs.json, or nothing before a first start.

    Raises:
      UserError: It is damaged, or gone.
    """
    path = _kwargs_path(experiment)
    if path.exists():
        saved: dict[str, Any] = read_json(path)
        return saved
    if identity.has_checkpoint(experiment):
        raise UserError(f"{path} is gone; put a copy back, or choose a new --logdir")
    return {}


def check_flags(given: dict[str, Any], saved: dict[str, Any]) -> None:
    """Checks flags as far as that goes before anybody's code is run.

    Args:
      given: From the command line.
      saved: What `read_saved` returned.

    Raises:
      UserError: There is nothing to train, or a flag cannot change.
    """
    if saved:
        flags.refuse_changes(given, saved)
    elif not given.keys() & {"env", "params"}:
        raise UserError(
            "--env or --params is missing: a new --logdir needs the name of an "
            "environment, e.g. --env Pendulum-v1, or a params file"
        )


def read(
    experiment: Experiment, given: dict[str, Any], saved: dict[str, Any]
) -> Inputs:
    """Reads params file and JSON, or their copies; runs the user's code.

    Args:
      experiment: The log directory.
      given: Flags from the command line, checked.
      saved: What `read_saved` returned.

    Raises:
      UserError: Something in them is wrong.
    """
    # Before there was such a list, every flag counted as given.
    given_flags = frozenset(saved.get(GIVEN_FLAGS, saved)) | frozenset(given)
    saved = {name: saved[name] for name in saved if name != GIVEN_FLAGS}
    originals = {name: given[name] for name in ("params", "config") if name in given}
    given = {**given, **{k: str(resolve_path(path)) for k, path in originals.items()}}
    named = {**saved, **given}
    params_class, params_path = _load_class(
        experiment, given.get("params"), saved.get("params")
    )
    is_flag_params = issubclass(params_class, FlagParams)
    if not is_flag_params:
        _refuse_agent_flags(given, params_path)
    of_the_user = {k: v for k, v in named.items() if k not in flags.NAMES}
    config_path = _choose_config(
        experiment, named.get("config"), named if is_flag_params else of_the_user
    )
    config = configuration.load_config(config_path) if config_path else {}
    if is_flag_params:
        defaults = {name: flag.default for name, flag in flags.FLAGS.items()}
        kwargs = {**defaults, **named}
        params = params_file.make_params(
            params_class, params_path, {**config, **kwargs}
        )
    else:
        config = {**config, **of_the_user}
        params = params_file.make_params(params_class, params_path, config)
        params = horizon.complete(params, params_path, config_path or params_path)
        loop = _loop_of(params)
        # The copies may have been edited: flags that follow from them follow still.
        follow = {name: loop[name] for name in loop if name not in given_flags}
        kwargs = {**loop, **named, **follow}
    config_path = config_path or _kwargs_path(experiment)
    return Inputs(params, params_path, config_path, kwargs, given_flags)


def write(experiment: Experiment, inputs: Inputs, params: TrainParamsBase) -> None:
    """Writes kwargs.json, and the copies that a resumed training and run.py read.

    Args:
      experiment: The log directory.
      inputs: What `read` returned.
      params: Its `TrainParams`, with a horizon.

    Raises:
      OSError: The disk is full, for example.
    """
    # The copies first: with kwargs.json a training has begun.
    _copy_params(experiment, inputs.params_path)
    # What was chosen, with the flags, of which some may change.
    write_json(experiment.config, params.env_config, durable=True)
    kwargs = {**inputs.kwargs, GIVEN_FLAGS: sorted(inputs.given_flags)}
    write_json(_kwargs_path(experiment), kwargs, durable=True)


def _kwargs_path(experiment: Experiment) -> Path:
    return experiment.root / "kwargs.json"


def _load_class(
    experiment: Experiment, given: str | None, saved: str | None
) -> tuple[type[TrainParamsBase], Path]:
    """Loads the class of the params file that counts; returns it and the file.

    A file that is named now wins over the copy in the directory: whoever names one
    need not run code that somebody else left there.
    """
    if given is not None:
        path = source = Path(given)
    elif saved is not None:
        source = Path(saved)
        path = snapshots.choose_params(experiment, source, "--params")
    elif experiment.params.exists():
        path = source = experiment.params
    else:
        return FlagParams, experiment.params
    return params_file.load_class(path, TrainParamsBase, source.parent), path


def _copy_params(experiment: Experiment, path: Path) -> None:
    """Makes the params file the directory's copy; another one is kept beside it."""
    copy = experiment.params
    if not path.exists():
        write_bytes(copy, FLAG_PARAMS_FILE.encode(), durable=True)
        return
    if copy.exists() and not filecmp.cmp(path, copy, shallow=False):
        kept = copy.rename(copy.with_name(f"params_before_{time.time_ns()}.py"))
        print(
            f"note: {path} differs from {copy}; --params wins, and the copy is kept "
            f"as {kept.name}",
            file=sys.stderr,
        )
    snapshots.write_params(experiment, path)


def _choose_config(
    experiment: Experiment, original: str | None, added: dict[str, Any]
) -> Path | None:
    """Returns the JSON that counts, if there is one."""
    if original is None:
        return experiment.config if experiment.config.exists() else None
    return snapshots.choose_config(experiment, Path(original), "--config", added)


def _refuse_agent_flags(given: dict[str, Any], params_path: Path) -> None:
    """Refuses flags that the `TrainParams` of a params file does not read."""
    for name in flags.AGENT_FLAGS:
        if name in given:
            raise UserError(
                f"--{name}: TrainParams of {params_path} does not read it; set it "
                "there, in the JSON's train_params, or derive TrainParams from "
                "FlagParams"
            )


def _loop_of(params: TrainParamsBase) -> dict[str, Any]:
    """Returns the loop's flags as a params file means them for many processes."""
    episode, iteration = params.env_config["horizon"], params.num_steps_per_iter
    warm_up = params.n_buffer_init_episodes * episode
    return {
        "buffer_size": params.n_episodes_in_buffer * episode,
        "warm_up_steps": warm_up,
        "seed": params.seed,
        "episodes_per_eval": params.n_eval_episodes,
        "max_to_keep": 5,
        "checkpoint_interval": params.checkpoint_period_itrs * iteration,
        "iterations": warm_up + params.total_train_steps,
        "log_interval": (params.eval_period_itrs or params.log_period_itrs) * iteration,
    }
