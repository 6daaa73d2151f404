"""Robots by name."""

from __future__ import annotations

from typing import Any

import pytest

from tfagents_system.environments.contact_insert import robots
from tfagents_system.environments.contact_insert.floating_hand import FloatingHand
from tfagents_system.environments.contact_insert.panda import Panda
from tfagents_system.environments.contact_insert.settings import Settings
from tfagents_system.errors import UserError


@pytest.mark.parametrize(
    ("name", "kind", "hz"), [("floating", FloatingHand, 480), ("panda", Panda, 240)]
)
def test_a_name_makes_a_robot(name: Any, kind: type, hz: int) -> None:
    robot, found = robots.make_robot(Settings(robot=name))
    robot.close()
    assert type(robot) is kind
    assert found == hz


def test_the_arm_refuses_a_rate_that_its_physics_cannot_divide() -> None:
    with pytest.raises(UserError, match="policy_hz must divide 240"):
        robots.make_robot(Settings(robot="panda", policy_hz=32, sim_hz=320))
