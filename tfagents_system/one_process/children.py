"""What the user's environment starts, such as a simulator, ends with the training.

Those processes inherit the marks that a service's have, so that the ones of a training
that was killed are found by the next one in its directory.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator

from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.experiment.stopping import STOP_GRACE_SECS
from tfagents_system.host import process_tree

_POLL_SECS = 0.1


@contextlib.contextmanager
def ended_with_training(experiment: Experiment) -> Iterator[None]:
    """Kills what is started within, and before that what a killed training has left.

    Args:
      experiment: The log directory; it may be missing.
    """
    RunProcesses(experiment).kill_strays()
    others = process_tree.descendants(os.getpid())
    run_id = uuid.uuid4().hex
    with _environment(
        SAC_RUN_ID=run_id,
        SAC_EXP_DIR=str(experiment.root),
        SAC_SERVICE_PID=str(os.getpid()),
    ):
        try:
            yield
        finally:
            _end(run_id, others)


def _end(run_id: str, others: set[int]) -> None:
    """Ends what has the mark of this training, and its children but for the others."""

    def left() -> set[int]:
        # Forks have no mark, and what has left its parent is no descendant.
        marked = process_tree.with_variable("SAC_RUN_ID", run_id)
        return marked | (process_tree.descendants(os.getpid()) - others)

    # As the launcher does: a simulator may have something to clear up.
    process_tree.send(left(), signal.SIGTERM)
    deadline = time.monotonic() + STOP_GRACE_SECS
    while left() and time.monotonic() < deadline:
        time.sleep(_POLL_SECS)
    process_tree.send(left(), signal.SIGKILL)


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Sets variables for what is started within."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
