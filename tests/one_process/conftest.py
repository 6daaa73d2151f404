"""Fixtures of the one-process tests."""

from __future__ import annotations

import pytest

from tfagents_system.learning.policy_export import PolicyExporter


@pytest.fixture
def saved_models() -> None:
    """Lets the trainings of a test export SavedModels."""


@pytest.fixture(autouse=True)
def without_saved_models(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lets the trainings of other tests export none: each takes seconds."""
    if "saved_models" not in request.fixturenames:
        monkeypatch.setattr(
            PolicyExporter, "export_saved_models", lambda exporter: None
        )
