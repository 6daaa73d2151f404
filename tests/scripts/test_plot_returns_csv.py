"""Curves as .csv files in scripts/plot_returns.py: written, read, refused."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import plot_returns
import pytest

from tfagents_system.errors import run_command
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.services import worker_name
from tfagents_system.experiment.status_file import CollectWorkerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import ScalarWriter, Steps

Command = Callable[..., tuple[int, str]]
# Train step, env step and return.
Evaluation = tuple[int, int, float]

HEADER = "env_steps,train_steps,return\n"


@pytest.fixture
def plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Returns a function that runs the command in tmp_path: exit code and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["plot_returns.py", *arguments])
        return run_command(plot_returns.main), capsys.readouterr().err

    return run


def write_evaluations(root: Path, *workers: Sequence[Evaluation]) -> None:
    """Writes the evaluations of each worker as its process does."""
    experiment = Experiment(root)
    for worker, evaluations in enumerate(workers):
        name = worker_name(worker)
        status = StatusWriter(experiment, name, CollectWorkerStatus)
        writer = ScalarWriter(experiment.eval_summaries(name), status)
        for train_step, env_step, value in evaluations:
            scalars = {"Metrics/return": value, "Metrics/episode_length": 200.0}
            writer.write(scalars, Steps(train_step, env_step))
        writer.flush()


@pytest.mark.parametrize("axis", ["env_steps", "train_steps"])
def test_an_exported_curve_is_the_curve_of_the_directory(
    axis: str, plot: Command
) -> None:
    write_evaluations(Path("run"), [(0, 1000, -3.5), (50, 1100, 1 / 3), (90, 1190, 2)])
    assert plot("run", "--export", "run.csv") == (0, "")
    assert Path("run.csv").read_text() == (
        HEADER + "1000,0,-3.5\n1100,50,0.333333\n1190,90,2\n"
    )
    exported = plot_returns.read_csv(Path("run.csv"), axis)
    training = plot_returns.read_training(Path("run"), "eval", axis)
    assert exported.x.tolist() == training.x.tolist()
    assert exported.returns == pytest.approx(training.returns, abs=1e-6)


def test_workers_are_averaged_at_the_points_of_all(plot: Command) -> None:
    write_evaluations(
        Path("run"), [(0, 100, 0), (20, 120, 4)], [(10, 110, 4), (30, 130, 8)]
    )
    assert plot("run", "--export", "run.csv") == (0, "")
    assert Path("run.csv").read_text() == (
        HEADER + "100,0,2\n110,10,3\n120,20,5\n130,30,6\n"
    )


def test_steps_taken_again_after_a_crash_are_left_out(plot: Command) -> None:
    write_evaluations(
        Path("run"),
        [
            (0, 100, 1),
            (10, 110, 2),
            (5, 120, 3),  # Has no event by train step.
            (20, 115, 4),  # Has no event by env step.
            (30, 130, 5),
        ],
    )
    assert plot("run", "--export", "run.csv") == (0, "")
    assert Path("run.csv").read_text() == (HEADER + "100,0,1\n110,10,2\n130,30,5\n")


def test_points_of_a_file_may_be_in_any_order_and_repeat_a_step(plot: Command) -> None:
    Path("a.csv").write_text(HEADER + "30,3,1.5\n10,1,1\n10,2,2\n")
    by_env_step = plot_returns.read_csv(Path("a.csv"), "env_steps")
    assert by_env_step.x.tolist() == [10, 30]
    assert by_env_step.returns.tolist() == [1.5, 1.5]
    by_train_step = plot_returns.read_csv(Path("a.csv"), "train_steps")
    assert by_train_step.x.tolist() == [1, 2, 3]
    assert by_train_step.returns.tolist() == [1, 2, 1.5]


@pytest.mark.parametrize("axis", ["env_steps", "train_steps"])
def test_files_and_directories_are_seeds_of_one_curve(axis: str, plot: Command) -> None:
    write_evaluations(Path("run"), [(0, 100, 1), (10, 110, 2)])
    for name in ("b_1.csv", "b_2.csv"):
        Path(name).write_text(HEADER + "100,0,3\n110,10,4\n")
    arguments = ["SAC=run,b_1.csv", "b_?.csv", "--output", "returns.svg", "--x", axis]
    assert plot(*arguments) == (0, "")
    # matplotlib writes letters as shapes and the text as a comment.
    plotted = Path("returns.svg").read_text()
    for label in ("SAC: mean and range of 2 seeds", "b_1", "b_2"):
        assert f"<!-- {label} -->" in plotted


def test_a_pattern_is_for_directories_unless_it_ends_with_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("seed_1", "seed_2"):
        Path(name).mkdir()
        Path(f"{name}.csv").touch()
    curves = plot_returns.parse_curves(["D=seed_*", "F=seed_*.csv", "seed_1.csv"])
    assert curves == {
        "D": [Path("seed_1"), Path("seed_2")],
        "F": [Path("seed_1.csv"), Path("seed_2.csv")],
        "seed_1": [Path("seed_1.csv")],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere.csv", "no file nowhere.csv"),
        ("SAC=good.csv,nowhere_*.csv", "no file nowhere_*.csv"),
        (
            "good.csv --x wall_time",
            "good.csv has no wall_time; use --x env_steps or --x train_steps",
        ),
        (
            "SAC=good.csv,./good.csv",
            "a file is given twice for SAC; a seed counts once",
        ),
        ("good.csv run/good.csv", "two curves are named good; name them: LABEL="),
        (
            "other.csv",
            "the first line of other.csv must be env_steps,train_steps,return",
        ),
        ("bytes.csv", "cannot read bytes.csv: "),
        (
            "empty.csv",
            "the first line of empty.csv must be env_steps,train_steps,return",
        ),
        ("begun.csv", "no points in begun.csv yet"),
        ("short.csv", "line 3 of short.csv must be 3 numbers"),
        ("nan.csv", "line 2 of nan.csv must be 3 numbers"),
        ("word.csv", "line 2 of word.csv must be 3 numbers"),
        ("run --export returns.txt", "--export returns.txt: it must end with .csv"),
        ("run --export no/returns.csv", "--export no/returns.csv: no directory no"),
        ("run --export is.csv", "cannot write is.csv: Is a directory"),
        ("run run --export returns.csv", "two curves are named run; name them: LABEL="),
        (
            "A=run B=run --export returns.csv",
            "--export takes the log directory of one training",
        ),
        (
            "good.csv --export returns.csv",
            "--export takes the log directory of one training",
        ),
        (
            "begun --export returns.csv",
            "no Metrics_vs_env_step/return in the events of begun/eval yet; no episode "
            "has ended",
        ),
    ],
)
def test_bad_input_is_one_line(arguments: str, message: str, plot: Command) -> None:
    write_evaluations(Path("run"), [(0, 100, 1)])
    write_evaluations(Path("begun"), [])
    Path("good.csv").write_text(HEADER + "100,0,1\n")
    Path("run/good.csv").write_text(HEADER + "100,0,1\n")
    Path("other.csv").write_text("step,return\n1,2\n")
    Path("bytes.csv").write_bytes(b"\xff\xfe\n")
    Path("empty.csv").touch()
    Path("begun.csv").write_text(HEADER)
    Path("short.csv").write_text(HEADER + "100,0,1\n200,1")
    Path("nan.csv").write_text(HEADER + "100,0,nan\n")
    Path("word.csv").write_text(HEADER + "100,0,good\n")
    Path("is.csv").mkdir()
    given = arguments.split()
    if "--export" not in given:
        given += ["--output", "returns.png"]
    code, stderr = plot(*given)
    assert code == 2
    assert stderr.startswith(f"error: {message}")
    assert stderr.count("\n") == 1
    assert not Path("returns.png").exists()
    assert not Path("returns.csv").exists()


@pytest.mark.parametrize(
    "outputs", [[], ["--output", "returns.png", "--export", "returns.csv"]]
)
def test_a_command_writes_either_a_plot_or_a_curve(
    outputs: list[str], plot: Command
) -> None:
    write_evaluations(Path("run"), [(0, 100, 1)])
    with pytest.raises(SystemExit, match="2"):
        plot("run", *outputs)
    assert not list(Path().glob("returns.*"))
