"""Fixtures of the environments' tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest

from tfagents_system.environments import loaders, standard


@pytest.fixture
def load_env() -> Iterator[Callable[..., Any]]:
    """Returns a function that loads an environment as a worker has it."""
    loaded = []

    def load_standard(name: str, horizon: int = 10000, **kwargs: Any) -> Any:
        env = standard.StandardEnvironment(loaders.load(name, **kwargs), horizon)
        loaded.append(env)
        return env

    yield load_standard
    for env in loaded:
        env.close()
