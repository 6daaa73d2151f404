"""What the JSON may say of the environment; a mistake is one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.environments.contact_insert.settings import (
    Settings,
    read_settings,
)
from tfagents_system.errors import UserError


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("contact_insert", {}),
        ("contact_insert_narrow", {"slot_gap": 0.06}),
        ("contact_insert_no_noise", {"noise_xy": 0.0, "noise_yaw_deg": 0.0}),
    ],
)
def test_the_configs_are_the_defaults_but_for_what_they_are_named_after(
    name: str, changed: dict[str, Any]
) -> None:
    config = json.loads((REPOSITORY / "config" / f"{name}.json").read_text())
    assert read_settings(config) == Settings(**changed)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"robot": "ur5"}, 'robot must be "floating" or "panda", got "ur5"'),
        ({"slot_gapp": 0.1}, "slot_gapp is not known; did you mean slot_gap?"),
        ({"slot_gap": 0.02}, "slot_gap must be wider than the plate"),
        ({"num_slots": 4}, "num_slots must be odd, got 4"),
        ({"sim_hz": 250}, "sim_hz must be a multiple of policy_hz"),
        ({"lag_ms": [7, 7]}, "first < end"),
        ({"lag_ms": [7, 51]}, "first < end <= 50"),
        ({"init_bin_prob": [1, 1, 1]}, "init_bin_prob must sum to 1"),
        ({"history_length": 0}, "history_length must be a whole number >= 1"),
    ],
)
def test_a_mistake_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        read_settings(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_keys_of_the_framework_are_passed_over() -> None:
    config = {"horizon": 5, "curriculum": {}, "train_params": {"num_iter": 1}}
    assert read_settings(config).horizon == 5
