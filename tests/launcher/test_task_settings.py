"""What a task of a job array has of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tfagents_system.errors import UserError
from tfagents_system.launcher import variables_file
from tfagents_system.launcher.task_settings import TaskSettings, read_task

SETTINGS = [{"discount": 0.98}, {"actor_fc_layer_params": [64, 64], "seed": 7}]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(SETTINGS))
    return path


@pytest.mark.parametrize(
    ("seed", "task", "suffix", "train_params"),
    [
        ("", "", "", {}),
        ("5", "", "", {"seed": 5}),
        ("", "3", "_task_3", {"seed": 3}),
        ("100", "3", "_task_3", {"seed": 103}),
    ],
)
def test_each_task_has_its_seed(
    seed: str, task: str, suffix: str, train_params: dict[str, Any]
) -> None:
    environment = {"SAC_SEED": seed, "SLURM_ARRAY_TASK_ID": task}
    assert read_task(environment) == TaskSettings(suffix, train_params)


def test_a_task_takes_its_setting_and_is_named_by_it(sweep: Path) -> None:
    environment = {"SAC_SWEEP": str(sweep), "SAC_SEED": "2", "SAC_EXP_NAME": "x"}
    first, second = (
        {**environment, "SLURM_ARRAY_TASK_ID": task} for task in ("0", "1")
    )
    assert read_task(first) == TaskSettings(
        "_task_0_discount=0.98", {"seed": 2, "discount": 0.98}
    )
    # A seed of the sweep is meant.
    assert read_task(second).train_params == SETTINGS[1]
    path = variables_file.read_exp_dir(second)
    assert path.name == "x_task_1_actor_fc_layer_params=64,64,seed=7"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SAC_SEED": "-1"}, "SAC_SEED='-1' must be a whole number >= 0"),
        ({"SAC_SWEEP": "gone.json"}, "SAC_SWEEP: no file gone.json"),
        ({}, r"SAC_SWEEP is for the tasks of a job array: .*, 0 to 1"),
        (
            {"SLURM_ARRAY_TASK_ID": "2"},
            r"has 2 settings, none for task 2; submit with --array=0-1",
        ),
    ],
)
def test_what_is_wrong_with_the_variables_is_one_line(
    sweep: Path, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_task({"SAC_SWEEP": str(sweep), **variables})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"discount": 0.98}, "must hold a JSON list of objects"),
        ([0.98], "must hold a JSON list of objects"),
        ([{}, {"discont": 0.98}], r"\[1\]: train_params\.discont .* mean discount"),
        ([{"discount": "much"}], r"\[0\]: train_params\.discount"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_one_line(
    sweep: Path, content: Any, message: str
) -> None:
    sweep.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"^{sweep}.* {message}"):
        read_task({"SAC_SWEEP": str(sweep), "SLURM_ARRAY_TASK_ID": "0"})
