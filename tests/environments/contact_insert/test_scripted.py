"""The scripted policies succeed as often as they should (fewer episodes than docs)."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest

from tfagents_system.acting.episode import run_episode
from tfagents_system.environments.contact_insert import command
from tfagents_system.environments.contact_insert.scripted import (
    SCRIPTS,
    ScriptedPolicy,
    Seek,
    go_down,
)

MakeEnv = Callable[..., Any]
HIGH, LOW = 0, 2


def successes(env: Any, script: str, episodes: int) -> int:
    policy = ScriptedPolicy(script, is_scaled=True)
    return sum(bool(run_episode(env, policy).is_success) for _ in range(episodes))


def test_the_base_motion_alone_never_gets_there_from_high(make_env: MakeEnv) -> None:
    assert successes(make_env(forced_init_idx=HIGH), "zero", 4) == 0


def test_the_base_motion_gets_there_from_low(make_env: MakeEnv) -> None:
    env = make_env(forced_init_idx=LOW, noise_level=0.0)
    assert successes(env, "zero", 10) == 10


def test_seeking_succeeds_where_the_target_is_known(make_env: MakeEnv) -> None:
    env = make_env(forced_init_idx=HIGH, noise_level=0.0)
    assert successes(env, "seek", 8) == 8


# Bounds that a true rate in the middle of the documented range misses once in 10,000.
@pytest.mark.parametrize(
    ("script", "slot_gap", "fewest", "most"),
    [("down", 0.10, 1, 15), ("seek", 0.10, 10, 20), ("seek", 0.06, 1, 15)],
)
def test_with_noise_only_some_episodes_succeed(
    make_env: MakeEnv, script: str, slot_gap: float, fewest: int, most: int
) -> None:
    env = make_env(forced_init_idx=HIGH, slot_gap=slot_gap)
    assert fewest <= successes(env, script, 20) <= most


def test_straight_down_is_10_mm_ahead_and_nowhere_else() -> None:
    wanted = go_down((0.2, 0.1, -0.3), (0.0, 0.0, 0.3))
    assert wanted.offset == pytest.approx((0, 0, -0.01))
    assert wanted.turn == (0, 0, 0)


def test_the_seeker_goes_down_once_it_is_above() -> None:
    seek, none = Seek(), (0.0, 0.0, 0.0)
    beside = seek((0.2, -0.01, -0.3), (0.0, 0.0, 0.1))
    assert beside.offset == pytest.approx((0.025, -0.01, 0))
    assert seek((0.001, 0.0, -0.3), none).offset[2] == pytest.approx(-0.02)
    # Blocked by a wall it is not above any more, and presses on.
    blocked = seek((0.02, 0.0, -0.1), none)
    assert blocked.offset == pytest.approx((0.02, 0, -0.02))


@pytest.mark.parametrize("is_scaled", [True, False])
def test_a_policy_commands_what_its_script_wants(
    make_env: MakeEnv, is_scaled: bool
) -> None:
    env = make_env(forced_init_idx=HIGH, obs_scale=is_scaled)
    step = env.reset()
    base = command.base_motion(*env._errors)
    for name in SCRIPTS:
        action = ScriptedPolicy(name, is_scaled).act(step)
        commanded = command.compose(base, action.tolist())
        wanted = SCRIPTS[name]()(*env._errors)
        if name == "seek":  # It wants more than an action can add to the base motion.
            assert np.abs(action).max() == 1
            continue
        assert commanded.translation == pytest.approx(wanted.translation, abs=1e-6)
        assert commanded.rotation == pytest.approx(wanted.rotation, abs=1e-6)
