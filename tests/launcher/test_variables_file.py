"""What the variables set, read from the environment and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.errors import UserError
from tfagents_system.launcher import variables_file
from tfagents_system.launcher.cpu_plan import CpuRequest


def test_exp_dir_follows_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = REPOSITORY / "logs"
    assert variables_file.read_exp_dir({"SAC_EXP_NAME": "a b"}) == logs / "a b"
    task = {"SAC_EXP_NAME": "x", "SLURM_ARRAY_TASK_ID": "3"}
    assert variables_file.read_exp_dir(task) == logs / "x_task_3"
    for unnamed in ({}, {"SAC_EXP_NAME": ""}, {"SLURM_ARRAY_TASK_ID": "3"}):
        with pytest.raises(UserError, match="SAC_EXP_NAME"):
            variables_file.read_exp_dir(unnamed)
    # A directory that is named itself is taken as it is.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    given = {**task, "SAC_EXP_DIR": "here"}
    assert variables_file.read_exp_dir(given) == tmp_path / "here"


def test_a_file_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {"SAC_CONFIG": "config/minitaur.json"}
    found = variables_file.read_file(variables, "SAC_CONFIG")
    assert found == REPOSITORY / "config" / "minitaur.json"


NOT_SET = (
    "SAC_PARAMS is not set; add a line such as SAC_PARAMS=my_params.py to the "
    "variables file"
)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, NOT_SET),
        ({"SAC_PARAMS": ""}, NOT_SET),
        ({"SAC_PARAMS": "gone.py"}, "SAC_PARAMS: no file gone.py"),
        ({"SAC_PARAMS": "/"}, "SAC_PARAMS: no file /"),
    ],
)
def test_a_file_that_is_not_there_is_one_line(
    variables: dict[str, str], line: str
) -> None:
    with pytest.raises(UserError) as error:
        variables_file.read_file(variables, "SAC_PARAMS")
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("text", "port"), [("auto", None), ("", None), ("8000", 8000), (" 65535 ", 65535)]
)
def test_a_port_is_a_number_or_auto(text: str, port: int | None) -> None:
    assert variables_file.read_port({"SAC_REVERB_PORT": text}) == port


def test_without_a_port_it_is_auto() -> None:
    assert variables_file.read_port({}) is None


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80.0", "http"])
def test_a_bad_port_is_one_line(text: str) -> None:
    with pytest.raises(UserError) as error:
        variables_file.read_port({"SAC_REVERB_PORT": text})
    assert str(error.value) == (
        f"SAC_REVERB_PORT={text!r} must be a port, 1-65535, or auto"
    )


def test_cpu_numbers_are_whole_or_auto() -> None:
    assert variables_file.read_cpu_request({}) == CpuRequest()
    assert variables_file.read_cpu_request(
        {
            "SAC_REVERB_CPUS": "1",
            "SAC_TRAIN_CPUS": "auto",
            "SAC_NUM_COLLECT_WORKERS": " 3 ",
            "SAC_COLLECT_WORKER_CPUS": "",
        }
    ) == CpuRequest(reverb_cpus=1, num_collect_workers=3)


@pytest.mark.parametrize(
    "name",
    [
        "SAC_REVERB_CPUS",
        "SAC_TRAIN_CPUS",
        "SAC_NUM_COLLECT_WORKERS",
        "SAC_COLLECT_WORKER_CPUS",
    ],
)
@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_bad_number_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(UserError) as error:
        variables_file.read_cpu_request({name: text})
    assert str(error.value) == f"{name}={text!r} must be a whole number >= 1, or auto"


@pytest.mark.parametrize("value", ["x ", " x", "x\n", "x\ny", "x\t", "x\r"])
@pytest.mark.parametrize("name", ["SAC_EXP_NAME", "SAC_EXP_DIR"])
def test_names_that_would_lead_a_service_elsewhere_are_refused(
    name: str, value: str
) -> None:
    with pytest.raises(UserError) as error:
        variables_file.read_exp_dir({name: value})
    assert str(error.value) == (
        f"{name}={value!r} must not begin or end with blanks, nor hold line breaks"
    )
    with pytest.raises(UserError, match="SAC_PARAMS='x ' must not"):
        variables_file.read_file({"SAC_PARAMS": "x "}, "SAC_PARAMS")


def test_a_folder_that_would_lead_a_service_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "line\nbreak"
    (folder / "here").mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="must not begin or end with blanks"):
        variables_file.read_exp_dir({"SAC_EXP_DIR": "here"})
