"""The tutorial exactly as written, from its files to the video."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import Run, evaluate, wait_for
from tests.test_docs import code_blocks

TUTORIAL = REPOSITORY / "docs" / "tutorial.md"


@pytest.mark.timeout(400)
def test_tutorial(tmp_path: Path) -> None:
    (params,), (config,) = (
        code_blocks(TUTORIAL, "python"),
        code_blocks(TUTORIAL, "json"),
    )
    run = Run(tmp_path, params, **json.loads(config))
    try:
        run.start_launcher()
        wait_for(run.has_ended, "the end of the training", 360)
        episode = evaluate(run)
    finally:
        run.close()
    status = run.call("scripts/status.sh", run.variables).stdout
    assert "friction" in status
    worker = run.worker()
    assert worker.curriculum == {
        "friction": pytest.approx(0.1),
        "wind": pytest.approx(0.5),
    }
    # Random actions reach less than 0, the best policy less than 100.
    assert worker.eval_return is not None
    assert worker.eval_return > 50
    assert episode["episode_return"] > 50
