"""What a submission to SLURM asks for, and what it refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PENDULUM_PARAMS, REPOSITORY
from tfagents_system.errors import UserError
from tfagents_system.launcher import submit

NUMBERS = {
    "SAC_REVERB_CPUS": "1",
    "SAC_TRAIN_CPUS": "2",
    "SAC_NUM_COLLECT_WORKERS": "3",
    "SAC_COLLECT_WORKER_CPUS": "2",
}


@pytest.mark.parametrize(
    ("numbers", "given", "expected"),
    [
        (NUMBERS, None, 1 + 2 + 3 * 2 + 2),
        (NUMBERS, "12", 12),
        (NUMBERS, "9", 9),  # Without any for the launcher: as the user likes.
        ({}, "2", 2),
        ({**NUMBERS, "SAC_TRAIN_CPUS": "auto"}, "8", 8),
    ],
)
def test_the_cpus_of_the_job_follow_from_the_numbers(
    numbers: dict[str, str], given: str | None, expected: int
) -> None:
    assert submit.choose_num_cpus(numbers, given) == expected


@pytest.mark.parametrize(
    ("numbers", "given", "words"),
    [
        ({}, None, "some of the CPU numbers are auto"),
        ({**NUMBERS, "SAC_TRAIN_CPUS": "auto"}, None, "--cpus-per-task=8"),
        (NUMBERS, "8", "need 9 CPUs .*, only 8 available; .*--cpus-per-task=11$"),
        (NUMBERS, "many", "must be a whole number"),
        (NUMBERS, "0", "must be a whole number"),
    ],
)
def test_cpus_that_do_not_fit_are_refused(
    numbers: dict[str, str], given: str | None, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        submit.choose_num_cpus(numbers, given)


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ([], None),
        (["--array-task=3"], None),
        (["--array=0-3"], "0-3"),
        (["--array", "0-3"], "0-3"),
        (["-a0-3"], "0-3"),
        (["-a", "0-3", "--time=1"], "0-3"),
        (["--array=7", "-a", "0-3"], "0-3"),
        (["-a"], ""),
    ],
)
def test_an_option_of_sbatch_is_found_however_it_is_written(
    options: list[str], value: str | None
) -> None:
    assert submit.find_option(options, "--array", "-a") == value


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("3", [3]),
        ("0-2", [0, 1, 2]),
        ("0-9:4%2", [0, 4, 8]),
        ("1,4-5", [1, 4, 5]),
    ],
)
def test_the_tasks_of_an_array(text: str, tasks: list[int]) -> None:
    assert submit.parse_array(text) == tasks


@pytest.mark.parametrize("text", ["", "a", "3-", "0-3:0", "3-1", "1,,2"])
def test_an_array_without_tasks_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--array="):
        submit.parse_array(text)


def test_the_warning_leaves_time_to_save_the_replay() -> None:
    def warning(replay_bytes: int, *options: str) -> str:
        command = submit.make_command("v.sh", "cart", 4, replay_bytes, options)
        assert command[0] == "sbatch"
        assert command[-2:] == [str(submit.JOB_SCRIPT), "v.sh"]
        assert [c for c in command if "cpus-per-task" in c] == ["--cpus-per-task=4"]
        return submit.find_option(command, "--signal", "-s") or ""

    assert warning(0) == "B:USR1@90"
    assert warning(1_800_000_000) == "B:USR1@290"
    # What the user gives wins.
    assert warning(0, "--signal=B:USR1@600", "--cpus-per-task=4") == "B:USR1@600"


def run_script(
    folder: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Submits Pendulum, with options, where there is no SLURM."""
    (folder / "params.py").write_text(PENDULUM_PARAMS)
    (folder / "config.json").write_text('{"horizon": 200}')
    settings = {
        "SAC_EXP_NAME": "not_there",
        "SAC_PARAMS": str(folder / "params.py"),
        "SAC_CONFIG": str(folder / "config.json"),
        **NUMBERS,
        **variables,
    }
    (folder / "my.sh").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SAC_")}
    return subprocess.run(
        [REPOSITORY / "scripts" / "submit_training.sh", folder / "my.sh", *arguments],
        env={**inherited, "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dry_run_checks_and_prints_the_command(tmp_path: Path) -> None:
    result = run_script(tmp_path, "--dry-run", "--time=1:00:00")
    assert result.returncode == 0, result.stderr
    assert "Replay: 70,000 transitions" in result.stderr
    (line,) = result.stdout.splitlines()
    logs = REPOSITORY / "logs" / "slurm"
    assert line.split()[:2] == ["sbatch", "--parsable"]
    assert {
        "--job-name=not_there",
        "--cpus-per-task=11",
        f"--output={logs}/not_there_%j.log",
        "--time=1:00:00",
    } <= set(line.split())
    assert not (REPOSITORY / "logs" / "not_there").exists()


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        ([], {"SAC_PARAMS": "nowhere.py"}, "error: SAC_PARAMS: no file nowhere.py"),
        (["--array=zero"], {}, "error: --array=zero: must be as"),
        (["--array=0-1"], {"SAC_EXP_DIR": "logs/x"}, "one directory for all tasks"),
        (["--no-check"], {"SAC_TRAIN_CPUS": "auto"}, "--cpus-per-task=8"),
        (["--cpus-per-task=3", "--no-check"], {}, "only 3 available"),
    ],
)
def test_what_the_job_would_end_for_is_said_at_once(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], words: str
) -> None:
    result = run_script(tmp_path, "--dry-run", *arguments, **variables)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert words in line


def test_a_sweep_must_have_a_setting_for_each_task(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.json"
    sweep.write_text('[{"discount": 0.9}, {"discount": 0.8}]')
    given = {"SAC_SWEEP": str(sweep)}
    result = run_script(tmp_path, "--dry-run", "--no-check", "--array=0-1", **given)
    assert result.returncode == 0, result.stderr
    result = run_script(tmp_path, "--dry-run", "--no-check", "--array=0-2", **given)
    assert result.returncode == 2
    assert "submit with --array=0-1" in result.stderr


def test_an_environment_that_fails_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(PENDULUM_PARAMS.replace("Pendulum-v1", "Nowhere-v1"))
    result = run_script(tmp_path, SAC_PARAMS=str(bad))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "error: nothing was started"
