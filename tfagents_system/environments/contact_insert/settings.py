"""The settings of ContactInsert: what the JSON may say of it, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tfagents_system.environments.contact_insert.geometry import PLATE_THICKNESS
from tfagents_system.errors import UserError
from tfagents_system.settings import config_schema

MS_PER_SEC = 1000

Robot = Annotated[
    Literal["floating", "panda"],
    msgspec.Meta(description='"floating" or "panda"'),
]
Count = Annotated[
    Annotated[int, msgspec.Meta(ge=1)],
    msgspec.Meta(description="a whole number >= 1"),
]
Length = Annotated[
    Annotated[float, msgspec.Meta(gt=0, le=1)],
    msgspec.Meta(description="a length in m, above 0 and at most 1"),
]
Size = Annotated[
    Annotated[float, msgspec.Meta(ge=0, le=1000)],
    msgspec.Meta(description="a number >= 0"),
]
Flag = Annotated[bool, msgspec.Meta(description="true or false")]
Lag = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=0)], Annotated[int, msgspec.Meta(ge=1)]],
    msgspec.Meta(description="[first, end] in ms, the end left out"),
]
Probabilities = Annotated[
    tuple[Size, Size, Size],
    msgspec.Meta(description="three probabilities, of the bins high, medium and low"),
]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set in the JSON; the defaults are the 10 cm task.

    Attributes:
      robot: "floating", a hand without an arm, or "panda".
      sim_hz: Physics steps a second; the floating hand's forces change every second
        one. The arm simulates 240 whatever this says.
      policy_hz: Env steps a second.
      horizon: Env steps after which an episode is cut off.
      history_length: Env steps in an observation.
      include_actions_in_history: Append to each of them the action that led to it.
      obs_scale: Divide observations by `environment.OBSERVATION_SCALE`.
      num_slots: Slots of the holder, odd.
      slot_gap: Width of a slot, m.
      slot_wall: Thickness of the walls between slots, m.
      slot_height: Height of the walls, m.
      lag_ms: An action takes effect so long after its observation, drawn in each env
        step.
      noise_xy: Largest error of the target in x and in y at noise level 1, m.
      noise_yaw_deg: The same of its yaw, degrees.
      init_bin_prob: How often episodes start high, medium and low.
      force_limit: Force at the hand that overloads it, N.
    """

    robot: Robot = "floating"
    sim_hz: Count = 480
    policy_hz: Count = 20
    horizon: Count = 128
    history_length: Count = 8
    include_actions_in_history: Flag = False
    obs_scale: Flag = True
    num_slots: Count = 3
    slot_gap: Length = 0.10
    slot_wall: Length = 0.06
    slot_height: Length = 0.16
    lag_ms: Lag = (7, 13)
    noise_xy: Size = 0.05
    noise_yaw_deg: Size = 5.0
    init_bin_prob: Probabilities = (0.5, 0.25, 0.25)
    force_limit: Size = 40.0


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Reads the settings from a configuration.

    Args:
      config: The JSON as a dict; the framework's own keys in it are passed over.

    Returns:
      The settings.

    Raises:
      UserError: A key is not known or its value does not fit.
    """
    framework = {field.name for field in msgspec.structs.fields(config_schema.Config)}
    own = {
        name: value
        for name, value in config.items()
        if name == "horizon" or name not in framework
    }
    settings = config_schema.convert(own, Settings)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """Checks what several values together must be."""
    first, end = settings.lag_ms
    step_ms = MS_PER_SEC / settings.policy_hz
    if not first < end <= step_ms:
        raise UserError(
            f"lag_ms must be [first, end] with first < end <= {step_ms:g}, the ms of "
            f"an env step, got [{first}, {end}]"
        )
    if settings.sim_hz % settings.policy_hz:
        raise UserError(
            f"sim_hz must be a multiple of policy_hz ({settings.policy_hz}), got "
            f"{settings.sim_hz}"
        )
    if settings.num_slots % 2 == 0:
        raise UserError(f"num_slots must be odd, got {settings.num_slots}")
    if settings.slot_gap <= PLATE_THICKNESS:
        raise UserError(
            f"slot_gap must be wider than the plate, {PLATE_THICKNESS} m, got "
            f"{settings.slot_gap}"
        )
    if abs(sum(settings.init_bin_prob) - 1) > 1e-9:
        raise UserError(
            f"init_bin_prob must sum to 1, got {list(settings.init_bin_prob)}"
        )
