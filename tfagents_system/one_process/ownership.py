"""Whose a log directory is while it is trained in: this process's alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Callable

from tfagents_system.errors import UserError
from tfagents_system.experiment import identity, run_lock
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.identity import Mode
from tfagents_system.host import files


def check_free(experiment: Experiment) -> None:
    """Checks that a directory may be trained in; writes nothing.

    Args:
      experiment: The log directory; it may be missing.

    Raises:
      UserError: It is not this mode's, or a training runs in it.
    """
    identity.check(experiment, Mode.ONE_PROCESS)
    with cannot_write(experiment):
        is_running = run_lock.is_running(experiment)
    if is_running:
        raise _in_use(experiment)


@contextlib.contextmanager
def own(experiment: Experiment) -> Iterator[Callable[[], None]]:
    """Makes a log directory, if need be, and keeps other trainings out of it.

    Args:
      experiment: The log directory.

    Yields:
      A check, to be called before anything is written: it raises a `UserError` when the
      directory was moved or deleted, or another training has taken it.

    Raises:
      UserError: As `check_free`, or the directory cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        with cannot_write(experiment):
            experiment.make()
            place = stack.enter_context(
                contextlib.closing(run_lock.Place(experiment.root))
            )
            lock = stack.enter_context(_locked(experiment))
            identity.claim(experiment, Mode.ONE_PROCESS)

        def check() -> None:
            nonlocal lock
            place.check()
            # A deleted lock file keeps nobody out: there must be one again.
            if not run_lock.is_at(lock, experiment.lock):
                with cannot_write(experiment):
                    lock = stack.enter_context(_locked(experiment))

        yield check


@contextlib.contextmanager
def cannot_write(experiment: Experiment) -> Iterator[None]:
    """Makes one line of an error of the disk.

    Raises:
      UserError: A file could not be written.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {experiment.root}: {error.strerror or error}; "
            f"{files.describe_free_space(experiment.root)}"
        ) from error


@contextlib.contextmanager
def _locked(experiment: Experiment) -> Iterator[int]:
    with run_lock.open_lock(experiment) as lock:
        if not run_lock.try_lock_for_a_moment(lock):
            raise _in_use(experiment)
        yield lock


def _in_use(experiment: Experiment) -> UserError:
    pids = ", ".join(map(str, run_lock.holders(experiment.lock)))
    return UserError(
        f"another training runs in {experiment.root} (pid {pids or 'unknown'}); stop "
        "it, or choose another --logdir"
    )
