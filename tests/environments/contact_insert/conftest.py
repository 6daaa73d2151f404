"""Fixtures of ContactInsert's tests: each simulator is closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest

from tfagents_system.environments.contact_insert.environment import (
    ContactInsertEnvironment,
)
from tfagents_system.environments.contact_insert.floating_hand import FloatingHand
from tfagents_system.environments.contact_insert.panda import Panda


@pytest.fixture
def make_env() -> Iterator[Callable[..., ContactInsertEnvironment]]:
    """Returns a function that makes an environment, with settings by their names."""
    made = []

    def make(
        seed: int = 0,
        noise_level: float = 1.0,
        goalreach_steps: int = 10,
        forced_init_idx: int | None = None,
        **settings: Any,
    ) -> ContactInsertEnvironment:
        env = ContactInsertEnvironment(
            settings, seed, noise_level, goalreach_steps, forced_init_idx
        )
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


@pytest.fixture
def hand() -> Iterator[FloatingHand]:
    """Yields a floating hand at 480 Hz."""
    robot = FloatingHand(480)
    yield robot
    robot.close()


@pytest.fixture
def arm() -> Iterator[Panda]:
    """Yields a Panda at 240 Hz."""
    robot = Panda(240)
    yield robot
    robot.close()
