"""What the user's environment starts, such as a simulator, ends with the training.

Those processes inherit the marks that a service's have, so that the ones of a training
that was killed are found by the next one in its directory.
"""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator

from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.host import process_tree


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
            # Forks have no mark, and what has left its parent is no descendant.
            marked = process_tree.with_variable("SAC_RUN_ID", run_id)
            children = process_tree.descendants(os.getpid()) - others
            process_tree.send(marked | children, signal.SIGKILL)


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
