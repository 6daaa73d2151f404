"""Builds what the flags say, and trains it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import tensorflow as tf
from threadpoolctl import threadpool_limits

from tfagents_system.algorithm import sac
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments import horizon, standard
from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import (
    Experiment,
    read_json,
    resolve_path,
    write_json,
)
from tfagents_system.one_process import flags
from tfagents_system.one_process.params import FlagParams
from tfagents_system.one_process.trainer import Trainer
from tfagents_system.processes import prepare, startup
from tfagents_system.settings import configuration
from tfagents_system.train_params_base import TrainParamsBase

# The params file of a training without one; run.py reads it.
FLAG_PARAMS_FILE = '''"""The flags of sac-train, which are in config.json."""

from tfagents_system.one_process.params import FlagParams


class TrainParams(FlagParams):
    """SAC as the flags say."""
'''


@dataclasses.dataclass(frozen=True)
class _Sources:
    """A params file and its JSON; without them the flags are both."""

    params: Path | None
    config: Path | None


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
    _limit_threads()
    experiment = Experiment(logdir.expanduser().resolve())
    kwargs_path = experiment.root / "kwargs.json"
    saved = read_json(kwargs_path) if kwargs_path.exists() else {}
    paths = {name: given[name] for name in ("params", "config") if name in given}
    given = {**given, **{k: str(resolve_path(path)) for k, path in paths.items()}}
    sources = _find_sources({**saved, **given})
    params, kwargs = _build_params(experiment, sources, given, saved)
    # The initial weights, too; not what is exported later, see `sac.build_agent`.
    tf.keras.utils.set_random_seed(kwargs["seed"])
    params, specs, agent = prepare.build_everything(
        params, sources.params or experiment.params, sources.config or kwargs_path
    )
    tf.random.set_seed(None)
    loop = flags.Loop(
        **{field.name: kwargs[field.name] for field in dataclasses.fields(flags.Loop)}
    )
    with _locked(experiment), _stop_on_signals() as stop:
        _write_snapshots(experiment, sources, params, kwargs)
        specs.save(experiment.specs)
        return _run(trainer_class, params, specs, agent, experiment, loop, stop)


def _find_sources(kwargs: dict[str, Any]) -> _Sources:
    def find(name: str) -> Path | None:
        return Path(kwargs[name]) if kwargs.get(name) else None

    return _Sources(find("params"), find("config"))


def _build_params(
    experiment: Experiment,
    sources: _Sources,
    given: dict[str, Any],
    saved: dict[str, Any],
) -> tuple[TrainParamsBase, dict[str, Any]]:
    """Returns the `TrainParams`, and all flags completed."""
    path = sources.params or experiment.params
    params_class: type[TrainParamsBase] = FlagParams
    if sources.params is not None:
        params_class = configuration.load_class(path, path.parent)
    config = {} if sources.config is None else configuration.load_config(sources.config)
    if issubclass(params_class, FlagParams):
        defaults = {name: flag.default for name, flag in flags.FLAGS.items()}
        kwargs = flags.complete(given, saved, defaults)
        params = configuration.make_params(params_class, path, {**config, **kwargs})
        return params, kwargs
    for name in flags.AGENT_FLAGS:
        if name in given:
            raise UserError(
                f"--{name}: TrainParams of {path} does not read it; set it there, in "
                "the JSON's train_params, or derive TrainParams from FlagParams"
            )
    unknown = {k: v for k, v in {**saved, **given}.items() if k not in flags.NAMES}
    params = configuration.make_params(params_class, path, {**config, **unknown})
    params = horizon.complete(params, path, sources.config or path)
    return params, flags.complete(given, saved, _loop_of(params))


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
        "iterations": warm_up + params.num_iter * iteration,
        "log_interval": (params.eval_period_itrs or params.log_period_itrs) * iteration,
    }


def _write_snapshots(
    experiment: Experiment,
    sources: _Sources,
    params: TrainParamsBase,
    kwargs: dict[str, Any],
) -> None:
    """Writes kwargs.json, and what run.py reads."""
    write_json(experiment.root / "kwargs.json", kwargs)
    write_json(experiment.config, params.env_config)
    if sources.params is None:
        experiment.params.write_text(FLAG_PARAMS_FILE)
    elif sources.params != experiment.params:
        shutil.copyfile(sources.params, experiment.params)


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


def _run(
    trainer_class: type[Trainer],
    params: TrainParamsBase,
    specs: Any,
    agent: Any,
    experiment: Experiment,
    loop: flags.Loop,
    stop: threading.Event,
) -> bool:
    if isinstance(agent, sac.ShardedSacAgent):
        # The critics keep two CPUs busy without shards, and the environment wants some.
        agent.num_shards = max(1, _num_cpus() // 2)
        agent.noise_seed = loop.seed
    env = standard.make_collect_env(params, 0, loop.seed)
    envs = (env, standard.make_eval_env(params, 0, loop.seed + 1, env))
    codec = RowCodec.of(params, specs)
    trainer = trainer_class(params, agent, envs, codec, experiment, loop)
    trainer.stop = stop
    is_resumed = trainer.restore()
    if trainer.iteration >= loop.iterations:
        print(
            f"already complete: {trainer.iteration:,} iterations; raise --iterations",
            file=sys.stderr,
        )
        return True
    if is_resumed:
        trainer.progress.print(f"resumed at iteration {trainer.iteration:,}")
    # NumPy's threads wait for the next product so busily that TensorFlow's wait, too.
    with threadpool_limits(1, "blas"):
        trainer.run()
    for each in envs:
        each.close()
    return trainer.iteration >= loop.iterations


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


def _limit_threads() -> None:
    # Where TensorFlow has begun already, its threads are the caller's business.
    with contextlib.suppress(RuntimeError):
        startup.limit_threads(_num_cpus())


def _num_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # Not on macOS.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
