"""Terms of the reward, and when an episode is over."""

from __future__ import annotations

import math

import pytest

from tfagents_system.environments.contact_insert import reward
from tfagents_system.environments.contact_insert.command import Command
from tfagents_system.environments.contact_insert.reward import EndReason, Referee

HORIZON = 128


def test_slopes_and_caps_are_the_archived_ones() -> None:
    assert reward.distance_cost(0.1, 0, HORIZON) == pytest.approx(0.000859, rel=1e-3)
    assert reward.distance_cost(0, 0.1, HORIZON) == pytest.approx(0.000821, rel=1e-3)
    most = reward.distance_cost(9, 9, HORIZON)
    assert most == reward.distance_cost(0.5, math.radians(30), HORIZON)
    assert most * HORIZON == pytest.approx(2 * 0.55)


def test_a_changed_command_costs() -> None:
    a, b = Command((0.0, 0.0, 0.1), (0.0, 0.0, 0.0)), Command((0, 0, 0), (0, 0, 0.1))
    assert reward.change_cost(a, a, HORIZON) == 0
    assert reward.change_cost(a, b, HORIZON) == reward.distance_cost(0.1, 0.1, HORIZON)


def test_the_goals_reward_halves_with_each_slot() -> None:
    ends = [reward.end_reward(EndReason.GOAL, slot) for slot in (0, 1, -1, 2)]
    assert ends == [0.5, 0.25, 0.25, 0.125]
    assert reward.end_reward(EndReason.OVERLOAD, 0) == -1.1
    assert reward.end_reward(EndReason.TIME_OUT, None) == 0


def test_the_goal_must_be_held_without_a_break() -> None:
    referee = Referee(HORIZON, force_limit=40)
    for slot in (0, 0, None, 1, 0):
        assert referee.judge(slot, 0, 3) == EndReason.RUNNING
    assert referee.judge(0, 0, 3) == EndReason.GOAL


def test_five_steps_of_too_much_force_are_an_overload() -> None:
    referee = Referee(HORIZON, force_limit=40)
    for force in (41, 41, 41, 41, 40, 41, 41, 41, 41):
        assert referee.judge(0, force, 99) == EndReason.RUNNING
    assert referee.judge(0, 41, 99) == EndReason.OVERLOAD


def test_the_last_step_of_the_horizon_is_a_time_out() -> None:
    referee = Referee(2, force_limit=40)
    assert referee.judge(None, 0, 1) == EndReason.RUNNING
    assert referee.judge(None, 0, 1) == EndReason.TIME_OUT
