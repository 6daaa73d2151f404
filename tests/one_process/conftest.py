"""Fixtures of the one-process tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def saved_models() -> None:
    """Lets the trainings of a test export SavedModels."""


@pytest.fixture(autouse=True)
def few_saved_models(request: pytest.FixtureRequest) -> None:
    """Lets no training export them, unless the test asks for `saved_models`."""
    if "saved_models" not in request.fixturenames:
        request.getfixturevalue("without_saved_models")
