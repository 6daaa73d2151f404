"""The robots by their names in the JSON."""

from __future__ import annotations

from tfagents_system.environments.contact_insert.floating_hand import FloatingHand
from tfagents_system.environments.contact_insert.impedance import Robot
from tfagents_system.environments.contact_insert.panda import Panda
from tfagents_system.environments.contact_insert.settings import Settings
from tfagents_system.errors import UserError

#: Physics steps a second of the arm: its control costs ten times as much as the hand's.
PANDA_HZ = 240


def make_robot(settings: Settings) -> tuple[Robot, int]:
    """Makes the robot that the settings name.

    Args:
      settings: The settings.

    Returns:
      The robot, and its physics steps a second.

    Raises:
      UserError: The arm cannot be simulated at this policy_hz.
    """
    if settings.robot == "floating":
        return FloatingHand(settings.sim_hz), settings.sim_hz
    if PANDA_HZ % settings.policy_hz:
        raise UserError(
            f"policy_hz must divide {PANDA_HZ} for the panda, got {settings.policy_hz}"
        )
    return Panda(PANDA_HZ), PANDA_HZ
