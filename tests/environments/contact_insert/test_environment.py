"""The environment: what it observes and rewards, its ends, its seeds, its lag."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
from tf_agents.environments import utils

from tfagents_system.environments.contact_insert.environment import (
    OBSERVATION_SCALE,
    ContactInsertEnvironment,
)
from tfagents_system.environments.contact_insert.reward import EndReason
from tfagents_system.environments.contact_insert.scripted import ScriptedPolicy
from tfagents_system.environments.standard import StandardEnvironment
from tfagents_system.errors import UserError

MakeEnv = Callable[..., ContactInsertEnvironment]
STILL = np.zeros(6, np.float32)
PRESS_DOWN = np.array([0, 0, -1, 0, 0, 0], np.float32)


def play(env: Any, num_steps: int, seed: int) -> list[Any]:
    """Returns what an episode with random actions observes and gives."""
    generator = np.random.default_rng(seed)
    env.seed(seed)
    steps = [env.reset()]
    while len(steps) <= num_steps and not steps[-1].is_last():
        action = generator.uniform(-1, 1, 6).astype(np.float32)
        steps.append(env.step(action))
    return [(s.observation["obs"].tolist(), float(s.reward)) for s in steps]


def test_it_is_a_py_environment(make_env: MakeEnv) -> None:
    utils.validate_py_environment(make_env(horizon=20), episodes=2)


def test_an_observation_has_the_archived_shape(make_env: MakeEnv) -> None:
    env = make_env()
    spec = env.observation_spec()
    assert spec["obs"].shape == (8, 12)
    assert spec["aux"]["successful"].dtype == np.int32
    assert env.action_spec().shape == (6,)
    first = env.reset().observation["obs"]
    assert np.all(first == first[0])
    second = env.step(STILL).observation["obs"]
    np.testing.assert_array_equal(second[:-1], first[1:])
    assert not np.array_equal(second[-1], first[-1])


def test_observations_can_be_raw(make_env: MakeEnv) -> None:
    raw, scaled = (
        make_env(obs_scale=scale).reset().observation["obs"] for scale in (False, True)
    )
    np.testing.assert_allclose(scaled * OBSERVATION_SCALE, raw, rtol=1e-6)
    assert raw[0, 2] == pytest.approx(0.33 * 9.81)


def test_actions_can_be_in_the_history(make_env: MakeEnv) -> None:
    env = make_env(include_actions_in_history=True)
    env.reset()
    action = np.linspace(-1, 1, 6, dtype=np.float32)
    rows = env.step(action).observation["obs"]
    assert rows.shape == (8, 18)
    np.testing.assert_allclose(rows[-1, 12:], action)


def test_the_policy_sees_the_way_to_a_target_that_is_not_the_true_one(
    make_env: MakeEnv,
) -> None:
    env = make_env(obs_scale=False)
    seen = env.reset().observation["obs"][-1, 6:9]
    hand, target = env._hand.position, env._target.position
    error = seen - (np.array(target) - np.array(hand))
    assert np.hypot(error[0], error[1]) > 0.005
    assert error[2] == pytest.approx(0, abs=1e-6)
    env.set_state({"noise_level": 0.0})
    seen = env.reset().observation["obs"][-1, 6:9]
    np.testing.assert_allclose(
        seen, np.array(env._target.position) - np.array(env._hand.position), atol=1e-6
    )


def test_a_seed_repeats_an_episode_bit_for_bit(make_env: MakeEnv) -> None:
    used = make_env(seed=99)
    episodes = []
    for seed in range(10):
        # What was before does not matter, in whatever state it ended.
        play(used, 7, seed + 100)
        episodes.append(play(used, 40, seed))
        assert play(make_env(), 40, seed) == episodes[-1], seed
    assert len({str(episode) for episode in episodes}) == 10
    fresh = make_env(seed=0)
    assert fresh.reset().observation["obs"].tolist() == episodes[0][0][0]


def test_environments_of_one_process_do_not_meet(make_env: MakeEnv) -> None:
    alone = play(make_env(), 20, 3)
    env, other = make_env(), make_env(slot_gap=0.06)
    env.seed(3)
    generator = np.random.default_rng(3)
    steps = [env.reset()]
    other.reset()
    for _ in range(20):
        other.step(PRESS_DOWN)
        steps.append(env.step(generator.uniform(-1, 1, 6).astype(np.float32)))
    assert [s.observation["obs"].tolist() for s in steps] == [obs for obs, _ in alone]


def test_a_lag_delays_the_onset_of_a_command(make_env: MakeEnv) -> None:
    moved = {}
    for lag in (0, 12):
        env = make_env(forced_init_idx=0, lag_ms=[lag, lag + 1])
        env.reset()
        before = env._hand.position[2]
        env.step(PRESS_DOWN)
        moved[lag] = before - env._hand.position[2]
    assert 0 < moved[12] < 0.75 * moved[0]


def test_a_time_out_is_a_truncation(make_env: MakeEnv) -> None:
    env = StandardEnvironment(make_env(forced_init_idx=0, horizon=3), 3)
    env.reset()
    env.step(STILL)
    env.step(STILL)
    last = env.step(STILL)
    assert last.is_last()
    assert last.discount == 1
    assert last.observation["aux"]["successful"] == 0
    assert env.get_info()["end_reason"] == EndReason.TIME_OUT


def test_the_goal_ends_an_episode_with_success(make_env: MakeEnv) -> None:
    env = make_env(forced_init_idx=2, noise_level=0.0, goalreach_steps=3)
    policy = ScriptedPolicy("seek", is_scaled=True)
    step = env.reset()
    assert step.observation["aux"]["successful"] == 0
    while not step.is_last():
        reward = step.reward
        step = env.step(policy.act(step))
    assert step.observation["aux"]["successful"] == 1
    assert step.discount == 0
    assert step.reward > 0.48
    assert env.get_info()["end_reason"] == EndReason.GOAL
    assert env.get_info()["slot"] == 0
    # At the goal but not yet for long enough: time and change cost, distance does not.
    assert -1.5 / 128 < reward < 0
    assert env.step(STILL).is_first()


def test_too_much_force_ends_an_episode(make_env: MakeEnv) -> None:
    # Already the plate's weight is more.
    env = make_env(force_limit=3.0)
    step = env.reset()
    for _ in range(5):
        step = env.step(STILL)
    assert step.is_last()
    assert step.discount == 0
    assert step.reward < -1.1
    assert env.get_info()["end_reason"] == EndReason.OVERLOAD
    assert env.get_info()["peak_force"] > 3


def test_a_step_costs_time_and_the_distance_to_the_true_target(
    make_env: MakeEnv,
) -> None:
    env = make_env(forced_init_idx=0)
    env.reset()
    reward = env.step(STILL).reward
    away = np.linalg.norm(np.subtract(env._target.position, env._hand.position))
    assert reward < -1 / 128 - 0.00859 * away
    assert reward > -1 / 128 - 2 * 0.0043


def test_parameters_are_attributes_first_then_keys(make_env: MakeEnv) -> None:
    env = make_env()
    env.set_state({"noise_level": 0.5, "goalreach_steps": 3, "slot_gap": 0.06})
    assert (env.noise_level, env.goalreach_steps) == (0.5, 3)
    assert env.settings.slot_gap == 0.06
    env.reset()
    assert env._holder.pitch == pytest.approx(0.12)


def test_nothing_is_set_if_one_value_is_wrong(make_env: MakeEnv) -> None:
    env = make_env()
    for name, wrong in (("no_such", 1), ("slot_gap", -1.0), ("goalreach_steps", 0)):
        with pytest.raises(UserError, match=name):
            env.set_state({"noise_level": 0.25, name: wrong})
    assert env.noise_level == 1.0
    assert env.settings.slot_gap == 0.10


def test_the_arm_has_the_same_task(make_env: MakeEnv) -> None:
    floating, arm = make_env(), make_env(robot="panda")
    first = [env.reset().observation["obs"][-1] for env in (floating, arm)]
    np.testing.assert_allclose(first[0], first[1], atol=1e-3)
    for _ in range(4):
        last = [env.step(PRESS_DOWN).observation["obs"][-1] for env in (floating, arm)]
    np.testing.assert_allclose(last[0][6:], last[1][6:], atol=0.1)


def test_a_picture_needs_rgb_array(make_env: MakeEnv) -> None:
    env = make_env()
    env.reset()
    with pytest.raises(NotImplementedError, match="human"):
        env.render("human")
    assert env.render().dtype == np.uint8
    assert env.metadata["render_fps"] == 20
