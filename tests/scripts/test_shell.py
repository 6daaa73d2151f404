"""The launchers: variables files, plans, and errors before anything is started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.launcher.cpu_plan import allowed_cpus

LAUNCH = REPOSITORY / "launch_training.sh"


def run(
    *command: str | Path, cwd: Path = REPOSITORY, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command with a clean set of SAC variables."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SAC_")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def variables(tmp_path: Path) -> Path:
    """Returns a variables file of the archived kind: plain assignments."""
    path = tmp_path / "my variables.sh"
    path.write_text(
        "unset http_proxy\n"
        "LD_LIBRARY_PATH=$NOT_SET:/x\n"
        "false\n"
        "SAC_NUM_COLLECT_WORKERS=1\n"
        "SAC_EXP_NAME='from file'\n"
        "SAC_PARAMS=tfagents_system/minitaur_params.py\n"
        "SAC_CONFIG=config/minitaur.json\n"
    )
    return path


def test_dry_run_prints_the_plan_and_starts_nothing(variables: Path) -> None:
    result = run(LAUNCH, variables, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert f"{REPOSITORY}/logs/from file" in result.stdout
    for process in ("replay_server", "learner", "collect_worker"):
        assert f"-m tfagents_system.processes {process} " in result.stdout
    assert "taskset -c" in result.stdout
    assert not (REPOSITORY / "logs" / "from file").exists()


def test_values_in_the_environment_win(variables: Path) -> None:
    result = run(LAUNCH, "--dry-run", variables, SAC_EXP_NAME="mine")
    assert f"{REPOSITORY}/logs/mine\n" in result.stdout
    assert "from file" not in result.stdout


def test_job_array_task_gets_its_own_directory(variables: Path) -> None:
    result = run(LAUNCH, "--dry-run", variables, SLURM_ARRAY_TASK_ID="4")
    assert f"{REPOSITORY}/logs/from file_task_4\n" in result.stdout


def test_paths_are_relative_to_the_repository_from_anywhere(tmp_path: Path) -> None:
    direct = run(REPOSITORY / "train_minitaur.sh", "--dry-run", cwd=tmp_path)
    launched = run(LAUNCH, "train_minitaur.sh", "--dry-run", cwd=tmp_path)
    assert direct.returncode == 0, direct.stderr
    assert direct.stdout == launched.stdout
    assert "logs/minitaur" in direct.stdout


def test_plan_keeps_to_the_cpus_of_the_job(variables: Path) -> None:
    cpu = str(allowed_cpus()[-1])
    result = run("taskset", "-c", cpu, LAUNCH, variables, "--dry-run")
    assert "Plan for 1 CPU:" in result.stdout
    assert result.stdout.count(f'taskset -c "{cpu}"') == 3


def test_too_few_cpus_is_one_line_and_starts_nothing(
    variables: Path, tmp_path: Path
) -> None:
    exp_dir = tmp_path / "exp"
    result = run(
        LAUNCH,
        variables,
        SAC_EXP_DIR=str(exp_dir),
        SAC_REVERB_CPUS="1000",
        SAC_TRAIN_CPUS="8",
        SAC_COLLECT_WORKER_CPUS="2",
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: need 1010 CPUs")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SAC_PARAMS": "not_there.py"}, "SAC_PARAMS: no file not_there.py"),
        ({"SAC_CONFIG": "not_there.json"}, "SAC_CONFIG: no file not_there.json"),
        ({"SAC_EXP_NAME": ""}, "SAC_EXP_NAME is not set"),
        ({"SAC_TRAIN_CPUS": "two"}, "SAC_TRAIN_CPUS"),
        ({"SAC_REVERB_PORT": "x"}, "SAC_REVERB_PORT"),
        ({"SAC_EXP_DIR": "/proc/no"}, "cannot make /proc/no"),
    ],
)
def test_bad_variable_is_one_line(
    variables: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    if "SAC_EXP_NAME" not in changes:
        changes = {"SAC_EXP_DIR": str(tmp_path / "experiment"), **changes}
    result = run(LAUNCH, variables, cwd=REPOSITORY, **changes)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("has_conda", [False, True])
def test_an_archived_variables_file_does_no_harm(
    tmp_path: Path, has_conda: bool
) -> None:
    (tmp_path / "bin").mkdir()
    for command in ["conda"] * has_conda:
        (tmp_path / "bin" / command).write_text(
            f"#!/bin/sh\necho $* >> {tmp_path}/calls\n"
        )
        (tmp_path / "bin" / command).chmod(0o755)
    common = tmp_path / "common variables.sh"
    common.write_text(
        'eval "$(conda shell.bash hook)"\n'
        "conda activate sac_utils\n"
        "LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$CONDA_PREFIX/lib\n"
        "unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY\n"
        "SAC_REVERB_PORT=`python3 -m portpicker $$`\n"
        "SAC_NUM_COLLECT_WORKERS=1\n"
        'SAC_EXP_NAME="develop"\n'
    )
    mine = tmp_path / "mine.sh"
    mine.write_text(
        "#!/usr/bin/env bash\n"
        ". 'common variables.sh'\n\n"
        'SAC_PARAMS="tfagents_system/minitaur_params.py"\n'
        'SAC_CONFIG="config/minitaur.json"\n'
    )
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    result = run(LAUNCH, mine, "--dry-run", PATH=path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "logs/develop" in result.stdout
    if has_conda:
        calls = (tmp_path / "calls").read_text().splitlines()
        assert calls == ["shell.bash hook", "activate sac_utils"]
    common.unlink()
    result = run(LAUNCH, mine, "--dry-run", PATH=path)
    assert (result.returncode, result.stderr) == (
        2,
        f"error: {mine} sources common variables.sh, which is neither in "
        f"{REPOSITORY} nor beside it\n",
    )


def test_a_variables_file_may_source_all_that_bash_does(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "in_path").write_text("SAC_NUM_COLLECT_WORKERS=1\n")
    mine = tmp_path / "mine.sh"
    mine.write_text(
        "source in_path\n"
        "source <(echo SAC_EXP_NAME=from_a_pipe)\n"
        f". {tmp_path}/rest\n"
        "source activate sac_utils\n"  # Without conda.
    )
    (tmp_path / "rest").write_text(
        "SAC_PARAMS=tfagents_system/minitaur_params.py\n"
        "SAC_CONFIG=config/minitaur.json\n"
    )
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    result = run(LAUNCH, mine, "--dry-run", PATH=path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "logs/from_a_pipe" in result.stdout


def test_what_is_in_the_repository_is_sourced_first(tmp_path: Path) -> None:
    (tmp_path / "train_minitaur.sh").write_text("SAC_EXP_NAME=wrong\n")
    mine = tmp_path / "mine.sh"
    mine.write_text("source train_minitaur.sh\n")
    result = run(LAUNCH, mine, "--dry-run")
    assert "logs/minitaur" in result.stdout


def test_bad_variables_file_is_one_line(tmp_path: Path) -> None:
    result = run(LAUNCH, "nowhere.sh")
    assert (result.returncode, result.stderr) == (
        2,
        "error: no variables file nowhere.sh\n",
    )
    broken = tmp_path / "broken.sh"
    broken.write_text("if true\n")
    result = run(LAUNCH, broken)
    assert result.returncode == 2
    assert "is not a valid shell script" in result.stderr


def test_no_arguments_shows_the_usage() -> None:
    result = run(LAUNCH)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: ./launch_training.sh VARIABLES.sh")
    assert run(LAUNCH, "a.sh", "b.sh").returncode == 2
    assert run(LAUNCH, "train_minitaur.sh", "--no-such-option").returncode == 2


@pytest.mark.parametrize("script", ["status.sh", "stop_training.sh"])
def test_status_and_stop_of_what_is_not_there(script: str, tmp_path: Path) -> None:
    result = run(REPOSITORY / "scripts" / script, tmp_path)
    assert result.returncode == 2
    assert result.stderr == f"error: no run in {tmp_path}\n"


def test_names_reach_no_shell(variables: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    name = f"$(touch '{trap}'); `touch '{trap}'` \"x"
    result = run(LAUNCH, variables, "--dry-run", SAC_EXP_NAME=name)
    assert result.returncode == 0, result.stderr
    assert name in result.stdout
    assert not trap.exists()
