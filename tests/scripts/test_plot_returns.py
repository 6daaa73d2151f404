"""scripts/plot_returns.py: curves of event files, and what it says of bad input."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np
import plot_returns
import pytest
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from tests.conftest import REPOSITORY
from tests.test_docs import code_blocks
from tfagents_system.environments import extras
from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import Status
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.summaries import ScalarWriter, Steps

# (train step, return); the env step is ten times the train step here.
Points = Sequence[tuple[int, float]]
Plot = Callable[..., tuple[int, str]]


@pytest.fixture
def plot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Plot:
    """Returns a function that runs the command; returns exit code and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["plot_returns.py", *map(str, arguments)])
        code = run_command(plot_returns.main)
        return code, capsys.readouterr().err

    return run


def write_returns(root: Path, folder: Path, points: Points) -> None:
    """Writes returns as one process of a training does, in one event file."""
    status = StatusWriter(Experiment(root), folder.name, Status)
    writer = ScalarWriter(folder, status)
    for train_step, episode_return in points:
        scalars = {"Metrics/return": episode_return, "Metrics/episode_length": 200.0}
        writer.write(scalars, Steps(train_step, 10 * train_step))
    writer.flush()


def write_training(root: Path, *workers: Points) -> Path:
    """Writes the evaluations of each worker of a multi-process training."""
    for number, points in enumerate(workers):
        folder = Experiment(root).eval_summaries(f"collect_worker_{number}")
        write_returns(root, folder, points)
    return root


def write_events(folder: Path, *events: tuple[float, int, float]) -> None:
    """Writes an event file whose first event is the first of (time, step, return)."""
    folder.mkdir(parents=True)
    start = event_pb2.Event(wall_time=events[0][0], file_version="brain.Event:2")
    path = folder / "events.out.tfevents.1700000000.host.1.0.v2"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(start.SerializeToString())
        for wall_time, step, episode_return in events[1:]:
            summary = summary_pb2.Summary()
            summary.MergeFrom(scalar_pb("Metrics/return", episode_return))
            event = event_pb2.Event(wall_time=wall_time, step=step, summary=summary)
            writer.write(event.SerializeToString())


def series(*points: tuple[float, float]) -> plot_returns.Series:
    return plot_returns.Series(*np.array(points, float).T)


@pytest.mark.parametrize(
    ("axis", "x"), [("env_steps", [0, 100, 200]), ("train_steps", [0, 10, 20])]
)
def test_workers_that_evaluate_at_the_same_steps_are_averaged(
    axis: str, x: list[float], tmp_path: Path
) -> None:
    write_training(tmp_path, [(0, 1), (10, 2), (20, 4)], [(0, 3), (10, 2), (20, 0.5)])
    training = plot_returns.read_training(tmp_path, "eval", axis)
    assert training.x.tolist() == x
    assert training.returns.tolist() == [2, 2, 2.25]


def test_which_worker_evaluates_last_makes_no_difference() -> None:
    first = series((0, 1), (10, 2), (20, 4))
    second = series((1, 3), (11, 2), (21, 0.5))
    mean = plot_returns.average_workers([first, second])
    assert mean.x.tolist() == [0, 1, 10, 11, 20, 21]
    # Both ends are means of both; between its points a worker is interpolated.
    assert mean.returns == pytest.approx(
        [(1 + 3) / 2, (1.1 + 3) / 2, (2 + 2.1) / 2, (2.2 + 2) / 2, (4 + 0.65) / 2, 2.25]
    )


def test_a_worker_that_begins_or_stops_in_between_changes_nothing_elsewhere() -> None:
    stays = series(*((step, 1.0) for step in range(0, 60, 10)))
    short = series((20, 5.0), (30, 5.0))
    mean = plot_returns.average_workers([stays, short])
    assert mean.x.tolist() == [0, 10, 20, 30, 40, 50]
    assert mean.returns.tolist() == [1, 3, 3, 3, 3, 1]


def test_workers_with_one_evaluation_each() -> None:
    mean = plot_returns.average_workers([series((0, 1)), series((3, 5))])
    assert mean.returns.tolist() == [3, 3]


def test_one_process_writes_directly_to_eval_and_train(tmp_path: Path) -> None:
    experiment = tmp_path / "one"
    write_returns(experiment, experiment / "eval", [(0, 1), (10, 2)])
    # Stopped and resumed: another event file of the same folder.
    write_returns(experiment, experiment / "eval", [(10, 4), (20, 5)])
    write_returns(experiment, experiment / "train", [(0, -3), (0, -5), (7, -1)])
    assert len(plot_returns.event_files(experiment / "eval")) == 2
    evaluations = plot_returns.read_training(experiment, "eval", "train_steps")
    assert evaluations.x.tolist() == [0, 10, 20]
    assert evaluations.returns.tolist() == [1, 3, 5]
    # In the warm-up every episode is at train step 0.
    episodes = plot_returns.read_training(experiment, "train", "train_steps")
    assert episodes.x.tolist() == [0, 7]
    assert episodes.returns.tolist() == [-4, -1]


def test_wall_time_is_in_hours_since_the_first_event_of_the_directory(
    tmp_path: Path,
) -> None:
    write_events(tmp_path / "train" / "learner", (1.7e9, 0, 0))
    write_events(
        tmp_path / "eval" / "collect_worker_0",
        (1.7e9 + 60, 0, 0),
        (1.7e9 + 1800, 0, 2.0),
        (1.7e9 + 9000, 10, 6.0),
    )
    # Opened, and killed before anything was written.
    (tmp_path / "eval" / "collect_worker_0" / "events.out.tfevents.1700000001").touch()
    training = plot_returns.read_training(tmp_path, "eval", "wall_time")
    assert training.x.tolist() == [0.5, 2.5]
    assert training.returns.tolist() == [2, 6]


def test_three_seeds_have_a_standard_deviation() -> None:
    seeds = [series((0, value), (10, 2 * value)) for value in (1, 2, 6)]
    band = plot_returns.band_over_seeds(seeds)
    assert band.num_seeds == 3
    assert band.mean.tolist() == [3, 6]
    deviation = 7**0.5  # Of 1, 2, 6: the squares' sum 4 + 1 + 9, by 3 - 1.
    assert band.low == pytest.approx([3 - deviation, 6 - 2 * deviation])
    assert band.high == pytest.approx([3 + deviation, 6 + 2 * deviation])


def test_two_seeds_have_their_range_and_one_has_no_band() -> None:
    low, high = series((0, 1), (10, 5)), series((0, 2), (10, -5))
    band = plot_returns.band_over_seeds([low, high])
    assert (band.low.tolist(), band.high.tolist()) == ([1, -5], [2, 5])
    assert band.mean.tolist() == [1.5, 0]
    alone = plot_returns.band_over_seeds([low])
    assert alone.low.tolist() == alone.mean.tolist() == alone.high.tolist() == [1, 5]


def test_seeds_are_interpolated_and_never_extrapolated() -> None:
    band = plot_returns.band_over_seeds(
        [series((0, 0), (20, 20), (40, 40)), series((10, 0), (30, 20), (50, 0))]
    )
    assert band.x.tolist() == [10, 20, 30, 40]
    assert band.low.tolist() == [0, 10, 20, 10]
    assert band.high.tolist() == [10, 20, 30, 40]
    assert band.mean.tolist() == [5, 15, 25, 25]


def test_directories_of_a_label_are_seeds_of_one_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a_1", "a_2", "a_10", "b", "c", "d=1,e"):
        Path(name).mkdir()
    Path("a_9").touch()
    curves = plot_returns.parse_curves(["lr=1=b,c", "A=a_?", "b/", "d=1,e", "A=a_10"])
    assert curves == {
        "lr=1": [Path("b"), Path("c")],
        "A": [Path("a_1"), Path("a_2"), Path("a_10")],
        "b": [Path("b")],
        "d=1,e": [Path("d=1,e")],
    }


def test_the_tasks_of_an_array_are_one_curve_or_one_for_each_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["cart_task_0", "cart_task_1", "cart_task_10"]
    swept = [
        "pole_task_0_discount=0.9,seed=1",
        "pole_task_1_discount=0.9,seed=2",
        "pole_task_2_discount=0.8,seed=1",
        "pole_task_3_seed=3",
    ]
    for name in (*names, *swept):
        Path(name).mkdir()
    curves = plot_returns.parse_curves(["cart_task_*", "pole_task_*", "A=cart_task_1"])
    assert curves == {
        "cart": [Path(name) for name in names],
        "pole_discount=0.9": [Path(name) for name in swept[:2]],
        "pole_discount=0.8": [Path(swept[2])],
        "pole": [Path(swept[3])],
        "A": [Path("cart_task_1")],
    }
    with pytest.raises(UserError, match="two curves are named cart"):
        plot_returns.parse_curves(["cart_task_0", "cart_task_1"])


@pytest.mark.parametrize(
    ("suffix", "start"),
    [("png", b"\x89PNG\r\n\x1a\n"), ("svg", b"<?xml"), ("PDF", b"%PDF-")],
)
def test_it_writes_the_kind_of_file_that_is_asked_for(
    suffix: str, start: bytes, plot: Plot, tmp_path: Path
) -> None:
    for seed in range(3):
        write_training(tmp_path / f"seed_{seed}", [(0, seed), (10, 5)])
    write_training(tmp_path / "started", [(0, 3)])
    output = tmp_path / f"returns.{suffix}"
    label = f"SAC={tmp_path}/seed_*"
    assert plot(label, tmp_path / "started", "--output", output) == (0, "")
    assert output.read_bytes().startswith(start)
    if suffix == "svg":
        # matplotlib writes letters as shapes and what they say as a comment.
        text = output.read_text()
        for words in ("SAC: mean and standard deviation of 3 seeds", "started"):
            assert f"<!-- {words} -->" in text


def test_commands_of_the_documentation_work(
    plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = code_blocks(REPOSITORY / "docs" / "plots.md", "bash")
    (block,) = (block for block in blocks if "plot_returns.py" in block)
    command = block[block.index("python scripts/plot_returns.py") :]
    monkeypatch.chdir(tmp_path)
    for name in ("cart_1", "cart_2", "cart_3", "fast_cart_1", "baseline"):
        write_training(Path("logs", name), [(0, 1), (10, 2)])
    arguments = shlex.split(command.replace("\\\n", ""))[2:]
    assert plot(*arguments) == (0, "")
    assert Path("returns.png").stat().st_size > 0


NOTHING = "no TensorBoard events in {}/eval; is {} the log directory of a training?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere", "no directory nowhere"),
        ("SAC=good,nowhere", "no directory nowhere"),
        ("SAC=nowhere_*", "no directory nowhere_*"),
        ("SAC=,", "no directory SAC=,"),
        ("empty", NOTHING.format("empty", "empty")),
        ("good/eval", NOTHING.format("good/eval", "good/eval")),
        (
            "begun",
            "no Metrics_vs_env_step/return in the events of begun/eval yet; "
            "no episode has ended",
        ),
        ("good other/good", "two curves are named good; name them: LABEL=other/good"),
        ("SAC=good,./good", "a directory is given twice for SAC; a seed counts once"),
        (
            "SAC=good,late --x train_steps",
            "the seeds of SAC have no train steps in common: one ends before another "
            "begins",
        ),
        ("good --output returns.jpg", "--output returns.jpg: it must end with .png, "),
        ("good --output no/returns.png", "--output no/returns.png: no directory no"),
        ("good --output is.png", "cannot write is.png: Is a directory"),
    ],
)
def test_bad_input_is_one_line(
    arguments: str,
    message: str,
    plot: Plot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_training(Path("good"), [(0, 1), (10, 2)])
    write_training(Path("other/good"), [(0, 1)])
    write_training(Path("late"), [(30, 1), (40, 2)])
    write_training(Path("begun"), [])
    Path("empty").mkdir()
    Path("is.png").mkdir()
    given = arguments.split()
    if "--output" not in given:
        given += ["--output", "returns.png"]
    code, stderr = plot(*given)
    assert code == 2
    assert stderr.startswith(f"error: {message}")
    assert stderr.count("\n") == 1
    assert not Path("returns.png").exists()


def test_without_matplotlib_it_says_what_to_type(
    plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_training(tmp_path, [(0, 1)])
    code, stderr = plot(tmp_path, "--output", tmp_path / "returns.png")
    assert code == 2
    command = extras.pip_command(["matplotlib"])
    assert stderr == (
        "error: scripts/plot_returns.py needs matplotlib, which is not installed: "
        f"{command}\n"
    )


def test_a_file_that_is_still_written_is_read_up_to_its_end(tmp_path: Path) -> None:
    write_training(tmp_path, [(0, 1), (10, 2)])
    (path,) = plot_returns.event_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    # The last event, the one against env steps, is not complete.
    assert plot_returns.read_training(tmp_path, "eval", "env_steps").x.tolist() == [0]
    with pytest.raises(UserError, match="no TensorBoard events"):
        plot_returns.read_training(tmp_path, "train", "env_steps")


def test_an_exported_curve_is_the_one_that_was_plotted(
    plot: Plot, tmp_path: Path
) -> None:
    directory = write_training(
        tmp_path / "cart", [(0, 1), (10, 2), (20, 4)], [(0, 3), (10, 2), (20, 0.5)]
    )
    file = tmp_path / "cart.csv"
    assert plot(directory, "--export", file) == (0, "")
    assert file.read_text() == (
        "env_steps,train_steps,return\n0,0,2\n100,10,2\n200,20,2.25\n"
    )
    for axis in ("env_steps", "train_steps"):
        exported = plot_returns.read_csv(file, axis)
        plotted = plot_returns.read_training(directory, "eval", axis)
        assert exported.x.tolist() == plotted.x.tolist()
        assert exported.returns.tolist() == plotted.returns.tolist()
    assert plot(f"SAC={file},{directory}", "--output", tmp_path / "a.png") == (0, "")


def test_training_episodes_are_exported_too(plot: Plot, tmp_path: Path) -> None:
    write_returns(tmp_path, tmp_path / "train", [(0, -3), (7, -1)])
    file = tmp_path / "train.csv"
    assert plot(tmp_path, "--episodes", "train", "--export", file) == (0, "")
    assert plot_returns.read_csv(file, "train_steps").returns.tolist() == [-3, -1]


def test_steps_that_were_taken_again_are_exported_once(
    plot: Plot, tmp_path: Path
) -> None:
    """After a crash a return may be there by env step alone."""
    folder = Experiment(tmp_path).eval_summaries("collect_worker_0")
    status = StatusWriter(Experiment(tmp_path), "collect_worker_0", Status)
    writer = ScalarWriter(folder, status)
    for train_step, env_step, episode_return in (
        (10, 100, 1),
        (5, 150, 2),
        (20, 200, 3),
    ):
        writer.write({"Metrics/return": episode_return}, Steps(train_step, env_step))
    writer.flush()
    file = tmp_path / "again.csv"
    assert plot(tmp_path, "--export", file) == (0, "")
    assert file.read_text().splitlines()[1:] == ["100,10,1", "200,20,3"]


def test_a_pattern_matches_directories_or_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cart_1", "cart_2"):
        Path(name).mkdir()
        Path(f"{name}.csv").touch()
    assert plot_returns.parse_curves(["A=cart_*", "B=cart_*.csv"]) == {
        "A": [Path("cart_1"), Path("cart_2")],
        "B": [Path("cart_1.csv"), Path("cart_2.csv")],
    }


HEADER = "env_steps,train_steps,return\n"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("", "the first line of a.csv must be env_steps,train_steps,return"),
        ("0,0,1\n", "the first line of a.csv must be env_steps,train_steps,return"),
        (HEADER, "no points in a.csv yet"),
        (f"{HEADER}0,0,1\n100,10\n", "line 3 of a.csv must be 3 numbers"),
        (f"{HEADER}0,0,high\n", "line 2 of a.csv must be 3 numbers"),
        (f"{HEADER}0,0,nan\n", "line 2 of a.csv must be 3 numbers"),
        ("\xff", "cannot read a.csv: "),
    ],
)
def test_a_bad_file_is_one_line(
    contents: str,
    message: str,
    plot: Plot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_bytes(contents.encode("latin-1"))
    code, stderr = plot("a.csv", "--output", "returns.png")
    assert code == 2
    assert stderr.startswith(f"error: {message}")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("gone.csv --output a.png", "no file gone.csv"),
        ("A=a.csv,./a.csv --output a.png", "a file is given twice for A; a seed "),
        (
            "a.csv --output a.png --x wall_time",
            "a.csv has no wall_time; use --x env_steps or --x train_steps",
        ),
        ("good --export returns.txt", "--export returns.txt: it must end with .csv"),
        ("good --export no/a.csv", "--export no/a.csv: no directory no"),
        ("good --export is.csv", "cannot write is.csv: Is a directory"),
        ("a.csv --export b.csv", "--export takes the log directory of one training"),
        ("good begun --export b.csv", "--export takes the log directory of one "),
        ("begun --export b.csv", "no Metrics_vs_env_step/return in the events of "),
    ],
)
def test_what_cannot_be_exported_or_read_is_one_line(
    arguments: str,
    message: str,
    plot: Plot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(f"{HEADER}0,0,1\n")
    write_training(Path("good"), [(0, 1), (10, 2)])
    write_training(Path("begun"), [])
    Path("is.csv").mkdir()
    code, stderr = plot(*arguments.split())
    assert code == 2
    assert stderr.startswith(f"error: {message}")
    assert stderr.count("\n") == 1
    assert not Path("b.csv").exists()
