"""What a curriculum may set."""

from __future__ import annotations

from typing import Any

import pytest

from tfagents_system.environments.contact_insert import parameters
from tfagents_system.errors import UserError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise_level", 0.0),
        ("noise_level", 1),
        ("goalreach_steps", 10),
        ("forced_init_idx", None),
        ("forced_init_idx", 2),
    ],
)
def test_what_fits_is_returned(name: str, value: Any) -> None:
    assert parameters.check(name, value) is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise_level", 1.5),
        ("noise_level", "full"),
        ("goalreach_steps", 0),
        ("goalreach_steps", 2.5),
        ("forced_init_idx", 3),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{name} must be .* got"):
        parameters.check(name, value)


def test_keys_of_the_json_can_be_set_but_for_those_that_shape_an_agent() -> None:
    parameters.check_names(["slot_gap", "force_limit"])
    with pytest.raises(UserError, match="history_length cannot change"):
        parameters.check_names(["history_length"])
    with pytest.raises(UserError, match="no parameter friction; known: noise_level"):
        parameters.check_names(["friction"])
