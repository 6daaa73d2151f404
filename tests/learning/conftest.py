"""Fixtures of the learning tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LendAgent
from tests.experiments import make_experiment
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.experiment.directory import Experiment


@pytest.fixture
def begun(
    pendulum: tuple[Any, Any, Any], lend_agent: LendAgent, tmp_path: Path
) -> tuple[Experiment, RowCodec, Any]:
    """Returns an experiment without checkpoints, its codec and an untrained agent."""
    params, _, specs = pendulum
    agent = lend_agent(params, specs)
    return make_experiment(tmp_path), RowCodec(specs), agent
