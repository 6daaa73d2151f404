"""Builds what the flags say, and trains it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import tensorflow as tf
from threadpoolctl import threadpool_limits

from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments import hooks, horizon
from tfagents_system.errors import UserError
from tfagents_system.experiment import snapshots
from tfagents_system.experiment.directory import Experiment, resolve_path
from tfagents_system.host import threads
from tfagents_system.host.files import read_json, write_bytes, write_json
from tfagents_system.learning import rehearsal
from tfagents_system.one_process import flags
from tfagents_system.one_process.params import FlagParams
from tfagents_system.one_process.trainer import Trainer
from tfagents_system.settings import configuration, params_file
from tfagents_system.settings.hyperparameters import Execution
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
class _Settings:
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


def train(
    logdir: Path, given: dict[str, Any], trainer_class: type[Trainer] = Trainer
) -> bool:
    """Trains, from the newest checkpoint in the log directory if there is one.

    Args:
      logdir: The log directory.
      given: Flags by name, see `flags.FLAGS`; those left out have their defaults, or
        what this directory was begun with.
      trainer_class: The loop.

    Returns:
      Whether training is complete; False if it was stopped before.

    Raises:
      UserError: What is wrong with flags, params or environment.
    """
    # If TensorFlow is already running, its threads are the caller's business.
    with contextlib.suppress(RuntimeError):
        threads.limit_tensorflow_threads(threads.num_cpus())
    experiment = Experiment(logdir.expanduser().resolve())
    settings = _read_settings(experiment, given)
    loop = flags.Loop(
        **{
            field.name: settings.kwargs[field.name]
            for field in dataclasses.fields(flags.Loop)
        }
    )
    execution = Execution(
        # The critics keep two CPUs busy without shards, and the environment needs some.
        num_batch_shards=max(1, threads.num_cpus() // 2),
        noise_seed=loop.seed,
    )
    # For the initial weights. What is exported later must not have a global seed, see
    # `build.build_agent`.
    tf.keras.utils.set_random_seed(loop.seed)
    params, specs, agent = rehearsal.rehearse(
        settings.params, settings.params_path, settings.config_path, execution
    )
    tf.random.set_seed(None)
    with _locked(experiment), _stop_on_signals() as stop:
        _write_snapshots(experiment, settings, params)
        specs.save(experiment.specs)
        env = hooks.make_collect_env(params, 0, loop.seed)
        eval_env = hooks.make_eval_env(params, 0, loop.seed + 1, env)
        codec = RowCodec.of(params, specs)
        is_complete = _run(
            trainer_class(params, agent, (env, eval_env), codec, experiment, loop, stop)
        )
        eval_env.close()
        env.close()
        return is_complete


def _read_settings(experiment: Experiment, given: dict[str, Any]) -> _Settings:
    """Reads flags, params file and JSON, or the snapshots of those."""
    kwargs_path = experiment.root / "kwargs.json"
    saved = read_json(kwargs_path) if kwargs_path.exists() else {}
    # Before there was such a list, every flag counted as given.
    given_flags = frozenset(saved.pop(GIVEN_FLAGS, saved)) | frozenset(given)
    originals = {name: given[name] for name in ("params", "config") if name in given}
    given = {**given, **{k: str(resolve_path(path)) for k, path in originals.items()}}
    named = {**saved, **given}
    params_class, params_path = _load_class(experiment, named.get("params"))
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
        kwargs = flags.complete(given, saved, defaults)
        params = params_file.make_params(
            params_class, params_path, {**config, **kwargs}
        )
    else:
        config = {**config, **of_the_user}
        params = params_file.make_params(params_class, params_path, config)
        params = horizon.complete(params, params_path, config_path or params_path)
        loop = _loop_of(params)
        kwargs = flags.complete(given, saved, loop)
        # The snapshots may have been edited: flags that follow from them follow still.
        kwargs |= {name: loop[name] for name in loop if name not in given_flags}
    config_path = config_path or kwargs_path
    return _Settings(params, params_path, config_path, kwargs, given_flags)


def _load_class(
    experiment: Experiment, original: str | None
) -> tuple[type[TrainParamsBase], Path]:
    """Loads the class of the params file that counts; returns it and the file."""
    if original is None and not experiment.params.exists():
        return FlagParams, experiment.params
    source = Path(original) if original else experiment.params
    path = snapshots.choose_params(experiment, source, "--params")
    return params_file.load_class(path, TrainParamsBase, source.parent), path


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


def _write_snapshots(
    experiment: Experiment, settings: _Settings, params: TrainParamsBase
) -> None:
    """Writes kwargs.json, and the snapshots that a resumed training and run.py read."""
    given_flags = sorted(settings.given_flags)
    write_json(
        experiment.root / "kwargs.json", {**settings.kwargs, GIVEN_FLAGS: given_flags}
    )
    # What was chosen, with the flags, of which some may change.
    write_json(experiment.config, params.env_config)
    if settings.params_path.exists():
        snapshots.write_params(experiment, settings.params_path)
    else:
        write_bytes(experiment.params, FLAG_PARAMS_FILE.encode())


@contextlib.contextmanager
def _locked(experiment: Experiment) -> Iterator[None]:
    """Keeps a second training out of a log directory."""
    experiment.root.mkdir(parents=True, exist_ok=True)
    with experiment.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another training runs in {experiment.root}; stop it, or choose "
                "another --logdir"
            ) from None
        yield


def _run(trainer: Trainer) -> bool:
    """Trains from the newest checkpoint; returns whether training is complete."""
    is_resumed = trainer.restore()
    iterations = trainer.loop.iterations
    if trainer.iteration >= iterations:
        print(
            f"already complete: {trainer.iteration:,} iterations; raise --iterations",
            file=sys.stderr,
        )
        return True
    if is_resumed:
        trainer.progress.print(f"resumed at iteration {trainer.iteration:,}")
    # NumPy's threads busy-wait for the next product, on the CPUs TensorFlow needs.
    with threadpool_limits(1, "blas"):
        trainer.run()
    return trainer.iteration >= iterations


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Lets Ctrl-C and SIGTERM end the training after its iteration and a checkpoint.

    Yields:
      What they set.
    """
    stop = threading.Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        stop.set()

    before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
