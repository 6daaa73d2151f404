"""Experiment directories as they are when the processes of a run start."""

from __future__ import annotations

from pathlib import Path

from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment


def make_experiment(folder: Path) -> Experiment:
    """Makes an experiment directory in a folder, and claims it."""
    experiment = Experiment(folder / "experiment")
    experiment.make()
    identity.claim(experiment, identity.Mode.MANY_PROCESSES)
    return experiment
