"""run.py's errors; its results are tested end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, WriteFiles
from tfagents_system import run as run_script
from tfagents_system.experiment.directory import Experiment


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs run.py as a script."""
    return subprocess.run(
        [sys.executable, "tfagents_system/run.py", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_experiment_or_checkpoint_is_one_line(
    write_files: WriteFiles, tmp_path: Path
) -> None:
    params, config = write_files()
    files: list[str | Path] = ["--params", params, "--config", config]
    result = evaluate(*files, "--exp_dir", tmp_path / "none")
    assert result.returncode == 2
    assert "no directory" in result.stderr.splitlines()[-1]
    result = evaluate(*files, "--exp_dir", tmp_path)
    assert result.returncode == 2
    assert "no policy checkpoints" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_named_params_file_is_run_and_not_that_of_the_directory(
    write_files: WriteFiles, tmp_path: Path
) -> None:
    def leave(path: Path) -> Path:
        """Writes a params file; returns the mark that it leaves when it is run."""
        mark = tmp_path / f"{path.name}_was_run"
        path.write_text(f"open({str(mark)!r}, 'w')\n")
        return mark

    params, config = write_files()
    exp_dir = tmp_path / "experiment"
    (exp_dir / "policies/checkpoints/policy_checkpoint_0000000001").mkdir(parents=True)
    named, in_directory = leave(params), leave(exp_dir / "params.py")
    arguments = ("--exp_dir", exp_dir, "--config", config)
    result = evaluate(*arguments, "--params", params)
    assert f"{params} has no class TrainParams" in result.stderr
    assert named.exists()
    assert not in_directory.exists()
    result = evaluate(*arguments)
    assert f"{exp_dir / 'params.py'} has no class TrainParams" in result.stderr
    assert in_directory.exists()


def test_flags_and_defaults_are_those_of_the_archived_run_py(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "-e", "logs/minitaur"])
    args = run_script.parse_args()
    assert (args.num_episodes, args.seed) == (25, 108)
    command = "run.py -p my.py -e logs/x -c my.json -n 5 --checkpoint policy --seed 1"
    monkeypatch.setattr(sys, "argv", command.split())
    args = run_script.parse_args()
    assert (args.params, args.exp_dir, args.config) == ("my.py", "logs/x", "my.json")
    assert (args.num_episodes, args.checkpoint, args.seed) == (5, "policy", 1)


@pytest.mark.parametrize(
    "arguments", [["--num_episodes", "0"], ["--seed", "-1"], ["--num_episodes", "x"]]
)
def test_bad_number_is_refused(arguments: list[str], tmp_path: Path) -> None:
    result = evaluate("--exp_dir", tmp_path, *arguments)
    assert result.returncode == 2
    assert arguments[0] in result.stderr


def test_python_without_tensorflow_says_what_to_do(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-S", "tfagents_system/run.py", "--exp_dir", str(tmp_path)],
        cwd=REPOSITORY,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "has no TensorFlow; run scripts/setup.sh" in result.stderr


@pytest.mark.parametrize("is_given", [False, True])
def test_params_of_the_directory_are_executed_unless_others_are_given(
    is_given: bool, write_files: WriteFiles, tmp_path: Path
) -> None:
    params, config = write_files()
    experiment = Experiment(tmp_path / "of_a_stranger")
    (experiment.policy_checkpoints / "policy_checkpoint_0000000001").mkdir(parents=True)
    executed = tmp_path / "executed"
    trap = f"import pathlib\npathlib.Path({str(executed)!r}).touch()\n"
    experiment.params.write_text(trap + params.read_text())
    experiment.config.write_bytes(config.read_bytes())
    given: list[str | Path] = ["--params", params] if is_given else []
    evaluate("--exp_dir", experiment.root, *given)
    assert executed.exists() != is_given
