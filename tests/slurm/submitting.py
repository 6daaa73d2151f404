"""Submitting trainings as users do."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import wait_for
from tests.slurm.cluster import Cluster


def submit(cluster: Cluster, variables: Path, *options: str, **given: str) -> str:
    """Submits a training as a user does; returns the job's id."""
    result = subprocess.run(
        [REPOSITORY / "scripts" / "submit_training.sh", variables, *options],
        env={**cluster.environment, **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()[1]
    assert said.startswith("Submitted as job ")
    return said.split()[3].rstrip(".")


def wait_for_state(cluster: Cluster, job_id: str, *states: str) -> None:
    """Waits until a job is in one of these states."""
    wait_for(lambda: cluster.state(job_id) in states, f"job {job_id} {states}", 200)
