"""Builds what the flags say, and trains it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tf_agents.agents import tf_agent
from threadpoolctl import threadpool_limits

from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments import hooks
from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host import threads
from tfagents_system.learning import build, rehearsal
from tfagents_system.one_process import children, flags, inputs, ownership
from tfagents_system.one_process.trainer import Trainer
from tfagents_system.settings.hyperparameters import Execution
from tfagents_system.train_params_base import TrainParamsBase

STOPPING = b"\nStopping after this iteration, with a checkpoint.\n"


def train(
    logdir: Path, given: dict[str, Any], trainer_class: type[Trainer] = Trainer
) -> bool:
    """Trains, from the newest checkpoint in the log directory if there is one.

    A directory that is refused for what lies in it is left as it is, and no code in it
    is run.

    Args:
      logdir: The log directory.
      given: Flags by name, see `flags.FLAGS`; those left out have their defaults, or
        what this directory was begun with.
      trainer_class: The loop.

    Returns:
      Whether training is complete; False if it was stopped before.

    Raises:
      UserError: What is wrong with flags, params, environment or directory.
    """
    experiment = Experiment(logdir.expanduser().resolve())
    ownership.check_free(experiment)
    saved = inputs.read_saved(experiment)
    inputs.check_flags(given, saved)
    # If TensorFlow is already running, its threads are the caller's business.
    with contextlib.suppress(RuntimeError):
        threads.limit_tensorflow_threads(threads.num_cpus())
    with children.ended_with_training(experiment), _no_exit():
        is_complete = _train_in(experiment, given, saved, trainer_class)
    return is_complete


def _train_in(
    experiment: Experiment,
    given: dict[str, Any],
    saved: dict[str, Any],
    trainer_class: type[Trainer],
) -> bool:
    """Trains in a directory that is free, with flags that have been checked."""
    chosen = inputs.read(experiment, given, saved)
    loop = flags.Loop(
        **{
            field.name: chosen.kwargs[field.name]
            for field in dataclasses.fields(flags.Loop)
        }
    )
    params, specs, agent = _rehearse(chosen, loop)
    with contextlib.ExitStack() as stack:
        check_place = stack.enter_context(ownership.own(experiment))
        stop = stack.enter_context(_stop_on_signals())
        if inputs.read_saved(experiment) != saved:
            raise UserError(
                f"another training began in {experiment.root} just now; try again"
            )
        with ownership.cannot_write(experiment):
            inputs.write(experiment, chosen, params)
            specs.save(experiment.specs)
        env = hooks.make_collect_env(params, 0, loop.seed)
        stack.callback(env.close)
        eval_env = hooks.make_eval_env(params, 0, loop.seed + 1, env)
        stack.callback(eval_env.close)
        trainer = trainer_class(
            params,
            agent,
            (env, eval_env),
            RowCodec.of(params, specs),
            experiment,
            loop,
            stop,
            check_place=check_place,
        )
        is_complete = _run(trainer)
    return is_complete


def _rehearse(
    chosen: inputs.Inputs, loop: flags.Loop
) -> tuple[TrainParamsBase, Specs, tf_agent.TFAgent]:
    """Builds all that a training is made of, seeded; as `rehearsal.rehearse`."""
    execution = Execution(
        # The critics keep two CPUs busy without shards, and the environment needs some.
        num_batch_shards=max(1, threads.num_cpus() // 2),
        noise_seed=loop.seed,
    )
    with build.seeded_weights(loop.seed):
        return rehearsal.rehearse(
            chosen.params, chosen.params_path, chosen.config_path, execution
        )


@contextlib.contextmanager
def _no_exit() -> Iterator[None]:
    """Makes an error of `sys.exit` in the user's code, which would end it silently.

    Raises:
      UserError: Some code called it.
    """
    try:
        yield
    except SystemExit as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"{place.filename}:{place.lineno} ended Python ({error!r}); let it raise "
            "another exception, or return"
        ) from error


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
    return trainer.iteration >= iterations and not trainer.has_given_up


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Lets Ctrl-C and SIGTERM end the training after its iteration and a checkpoint.

    Yields:
      What they set.
    """
    stop = threading.Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        if not stop.is_set():
            with contextlib.suppress(OSError):  # Not `print`: it may be under way.
                os.write(2, STOPPING)
        stop.set()

    before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
