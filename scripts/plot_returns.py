"""Plots the returns of one or more trainings, with a band over seeds.

    python scripts/plot_returns.py [LABEL=]PATH[,PATH...] ... --output returns.png
    python scripts/plot_returns.py PATH --export returns.csv

Each PATH is the log directory of one training, or a .csv file with its curve.
LABEL=PATH,PATH,... is one curve over several trainings (seeds): their mean, and as band
one sample standard deviation up and down; of two seeds, the range between them. * and ?
stand for parts of a name, and a LABEL may come more than once. A PATH alone is a curve
that is named after it.

Between its points a seed is interpolated linearly, and a curve goes only as far as all
of its seeds do. Several workers of one training are averaged in the same way, at each
point those that have begun and not stopped. Against wall_time, hours count from the
first event of a directory; the pause before a training was resumed counts too.

--export writes the curve of one log directory as a .csv file. Its first line is
env_steps,train_steps,return, and every other line is one point. Other programs can
write such files as well. They contain no wall times.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import glob
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tfagents_system.environments import extras
from tfagents_system.errors import UserError, run_command
from tfagents_system.host.quiet import quiet_imports

Array = npt.NDArray[np.float64]

#: Each return is written under both tags, see `tfagents_system.experiment.summaries`.
BY_TRAIN_STEP = "Metrics/return"
BY_ENV_STEP = "Metrics_vs_env_step/return"
#: For each horizontal axis the tag that has it, and what is written below it. An
#: event's wall time does not depend on the tag.
AXES = {
    "env_steps": (BY_ENV_STEP, "env steps"),
    "train_steps": (BY_TRAIN_STEP, "train steps"),
    "wall_time": (BY_TRAIN_STEP, "hours"),
}
#: The columns of a .csv file.
COLUMNS = ["env_steps", "train_steps", "return"]
#: What is written beside the vertical axis; the keys are folders of a log directory.
EPISODES = {
    "eval": "mean return of greedy evaluation episodes",
    "train": "return of training episodes",
}
SUFFIXES = (".png", ".svg", ".pdf")
SECS_PER_HOUR = 3600.0


class Series(NamedTuple):
    """Returns of one worker or of one training.

    Attributes:
      x: (N,), strictly increasing; steps, or hours.
      returns: (N,).
    """

    x: Array
    returns: Array


class ReturnEvent(NamedTuple):
    """A return in the event files of a training.

    Attributes:
      folder: Of the event file; each worker has its own.
      tag: `BY_TRAIN_STEP` or `BY_ENV_STEP`.
      step: Of the kind that the tag says.
      wall_time: When it was written, Unix time in seconds.
      episode_return: The return.
    """

    folder: Path
    tag: str
    step: int
    wall_time: float
    episode_return: float


class Band(NamedTuple):
    """The returns of several seeds; each array is (N,).

    Attributes:
      x: Strictly increasing; steps, or hours.
      mean: Over the seeds.
      low: Where the band begins; the mean if there is one seed.
      high: Where it ends.
      num_seeds: How many there are.
    """

    x: Array
    mean: Array
    low: Array
    high: Array
    num_seeds: int


def is_csv(path: Path) -> bool:
    """Returns whether a path names a .csv file, which need not exist."""
    return path.suffix.lower() == ".csv" and not path.is_dir()


def is_training(path: Path) -> bool:
    """Returns whether there is a directory or a .csv file."""
    return path.is_dir() or (is_csv(path) and path.is_file())


def find_trainings(pattern: str) -> list[Path]:
    """Finds the directory or .csv file of that name, or else all that match it.

    Raises:
      UserError: There is none.
    """
    path = Path(pattern)
    if is_training(path):
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(pattern))]  # noqa: PTH207
    # Only one kind: a .csv file may lie beside the directory that it was made of.
    found = [
        match
        for match in matches
        if is_training(match) and is_csv(match) == is_csv(path)
    ]
    if not found:
        raise UserError(f"no {'file' if is_csv(path) else 'directory'} {pattern}")
    return found


def parse_curves(arguments: Sequence[str]) -> dict[str, list[Path]]:
    """Reads the arguments `[LABEL=]PATH[,PATH...]`.

    Args:
      arguments: Of the command line; in each the last = ends the label.

    Returns:
      The paths of each label, in the order of the arguments. Without a label the tasks
      of a job array are one curve, or one for each setting (see `name_setting`).

    Raises:
      UserError: A path does not exist or is given twice, or two that have no label have
        the same name.
    """
    curves: dict[str, list[Path]] = {}
    for argument in arguments:
        label, _, listed = argument.rpartition("=")
        patterns = [pattern for pattern in listed.split(",") if pattern]
        if label and patterns and not is_training(Path(argument)):
            paths = curves.setdefault(label, [])
            for pattern in patterns:
                paths += find_trainings(pattern)
            continue
        tasks: set[str] = set()
        for path in find_trainings(argument):
            name = path.stem if is_csv(path) else path.resolve().name
            label = name_setting(name)
            if label in tasks:
                curves[label].append(path)
                continue
            if label != name:
                tasks.add(label)
            if label in curves:
                raise UserError(
                    f"two curves are named {label}; name them: LABEL={path}"
                )
            curves[label] = [path]
    for label, paths in curves.items():
        seen: set[Path] = set()
        for path in paths:
            if path.resolve() in seen:
                kind = "file" if is_csv(path) else "directory"
                raise UserError(
                    f"a {kind} is given twice for {label}; a seed counts once"
                )
            seen.add(path.resolve())
    return curves


def name_setting(name: str) -> str:
    """Returns what tasks of a SLURM job array with the same setting have in common.

    Args:
      name: Of a log directory, e.g. `cart_task_3_discount=0.98,seed=1`.

    Returns:
      It without task and seed, e.g. `cart_discount=0.98`; another name as it is.
    """
    match = re.fullmatch(r"(.*?)_task_\d+(?:_(.*))?", name)
    if match is None:
        return name
    parts = (match[2] or "").split(",")
    setting = ",".join(p for p in parts if p and not p.startswith("seed="))
    return f"{match[1]}_{setting}" if setting else match[1]


def event_files(folder: Path) -> list[Path]:
    """Returns all event files below a folder, by name."""
    return sorted(folder.rglob("events.out.tfevents.*"))


def load_events(path: Path) -> Iterator[Any]:
    """Yields the events of a file, up to where it is damaged or still written."""
    from tensorboard.backend.event_processing import event_file_loader

    yield from event_file_loader.EventFileLoader(str(path)).Load()


def first_event_secs(directory: Path) -> float:
    """Returns the Unix time, in seconds, of the first event of a log directory.

    A process writes the first event of a file when it opens it.
    """
    return min(
        float(event.wall_time)
        for name in EPISODES
        for path in event_files(directory / name)
        for event in [next(load_events(path), None)]
        if event is not None
    )


def average_repeats(x: Array, returns: Array) -> Series:
    """Sorts points by x, and averages those which have the same x."""
    unique, indices = np.unique(x, return_inverse=True)
    return Series(unique, np.bincount(indices, returns) / np.bincount(indices))


def average_workers(workers: Sequence[Series]) -> Series:
    """Averages the workers of one training, at the points of all.

    They evaluate at about the same steps, one a little before another: within the
    usual distance of two points, a worker's first return holds before it too, and its
    last after it. Further away the worker has not begun or has stopped, as when a
    training is resumed with fewer, and the mean is over the others.
    """
    gaps = np.concatenate([np.diff(worker.x) for worker in workers])
    reach = np.median(gaps) if len(gaps) else np.inf
    x = np.unique(np.concatenate([worker.x for worker in workers]))
    returns = [
        np.where(
            (worker.x[0] - reach <= x) & (x <= worker.x[-1] + reach),
            np.interp(x, worker.x, worker.returns),
            np.nan,
        )
        for worker in workers
    ]
    return Series(x, np.nanmean(returns, axis=0))


def load_returns(directory: Path, episodes: str) -> Iterator[ReturnEvent]:
    """Yields the returns in the event files of one training.

    The event files of a folder are one worker's, one for each of its starts:
    `eval/collect_worker_<i>`, or `eval` itself if the training is one process.

    Args:
      directory: The log directory.
      episodes: A key of `EPISODES`.

    Yields:
      The returns of each file as they were written.

    Raises:
      UserError: There are no event files.
    """
    folder = directory / episodes
    paths = event_files(folder)
    if not paths:
        raise UserError(
            f"no TensorBoard events in {folder}; is {directory} the log directory of "
            "a training?"
        )
    from tensorboard.util import tensor_util

    for path in paths:
        for event in load_events(path):
            for value in event.summary.value:
                if value.tag in (BY_TRAIN_STEP, BY_ENV_STEP):
                    episode_return = tensor_util.make_ndarray(value.tensor).item()
                    yield ReturnEvent(
                        path.parent,
                        value.tag,
                        event.step,
                        event.wall_time,
                        episode_return,
                    )


def no_returns(directory: Path, episodes: str, tag: str) -> UserError:
    """Returns the error for event files without a return."""
    folder = directory / episodes
    return UserError(f"no {tag} in the events of {folder} yet; no episode has ended")


def read_training(directory: Path, episodes: str, axis: str) -> Series:
    """Reads the returns of one training.

    Args:
      directory: The log directory.
      episodes: A key of `EPISODES`.
      axis: A key of `AXES`.

    Returns:
      The mean over the workers.

    Raises:
      UserError: There are no event files, or no return in them.
    """
    tag = AXES[axis][0]
    points = defaultdict(list)
    for event in load_returns(directory, episodes):
        if event.tag == tag:
            x = event.wall_time if axis == "wall_time" else event.step
            points[event.folder].append((x, event.episode_return))
    if not points:
        raise no_returns(directory, episodes, tag)
    workers = [average_repeats(*np.array(pairs).T) for pairs in points.values()]
    training = average_workers(workers)
    if axis != "wall_time":
        return training
    hours = (training.x - first_event_secs(directory)) / SECS_PER_HOUR
    return Series(hours, training.returns)


def read_csv(path: Path, axis: str) -> Series:
    """Reads the returns of one training from a .csv file.

    Args:
      path: The file.
      axis: A key of `AXES`.

    Returns:
      The returns.

    Raises:
      UserError: The file does not have this axis, or cannot be read.
    """
    if axis not in COLUMNS:
        raise UserError(
            f"{path} has no {axis}; use --x {' or --x '.join(COLUMNS[:-1])}"
        )
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not lines or lines[0] != COLUMNS:
        raise UserError(f"the first line of {path} must be {','.join(COLUMNS)}")
    points = [
        read_point(path, number, line) for number, line in enumerate(lines[1:], 2)
    ]
    if not points:
        raise UserError(f"no points in {path} yet")
    columns = dict(zip(COLUMNS, np.array(points).T))
    return average_repeats(columns[axis], columns["return"])


def read_point(path: Path, number: int, line: Sequence[str]) -> list[float]:
    """Reads a line of a .csv file.

    Args:
      path: The file, for errors.
      number: Of the line, for errors.
      line: Its values.

    Returns:
      The values of `COLUMNS`.

    Raises:
      UserError: They are not as many finite numbers.
    """
    try:
        point = [float(value) for value in line]
    except ValueError:
        point = []
    if len(point) != len(COLUMNS) or not np.isfinite(point).all():
        raise UserError(f"line {number} of {path} must be {len(COLUMNS)} numbers")
    return point


def is_same_return(first: ReturnEvent, second: ReturnEvent) -> bool:
    """Returns whether two consecutive events are one return by train and env step."""
    return (
        (first.tag, second.tag) == (BY_TRAIN_STEP, BY_ENV_STEP)
        and first.folder == second.folder
        and first.episode_return == second.episode_return
    )


def write_csv(path: Path, directory: Path, episodes: str) -> None:
    """Writes the curve of one training as `read_csv` reads it.

    Args:
      path: The file.
      directory: The log directory.
      episodes: A key of `EPISODES`.

    Raises:
      UserError: The directory has no returns, or the file cannot be written.
    """
    workers = defaultdict(list)
    before: ReturnEvent | None = None
    for event in load_returns(directory, episodes):
        # A return is written by train step and then by env step. One of the two is
        # missing where steps were taken again after a crash.
        if before is not None and is_same_return(before, event):
            workers[event.folder].append(
                (event.step, before.step, event.episode_return)
            )
        before = event
    if not workers:
        raise no_returns(directory, episodes, BY_ENV_STEP)
    columns = [np.array(points).T for points in workers.values()]
    mean = average_workers(
        [average_repeats(env_steps, returns) for env_steps, _, returns in columns]
    )
    # At the same points: those of all workers.
    train_steps = average_repeats(*np.concatenate(columns, axis=1)[:2]).returns
    with writing(path), path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for env_step, train_step, value in zip(mean.x, train_steps, mean.returns):
            writer.writerow([round(env_step), round(train_step), f"{value:.6g}"])


def band_over_seeds(seeds: Sequence[Series]) -> Band:
    """Computes mean and band of several trainings.

    Args:
      seeds: One or more.

    Returns:
      Mean and band at the points of all seeds, within the range that all have; empty
      if they have none in common. The band is a sample standard deviation up and down;
      of two seeds, which say little of it, the range between them.
    """
    x = np.unique(np.concatenate([seed.x for seed in seeds]))
    first = max(seed.x[0] for seed in seeds)
    last = min(seed.x[-1] for seed in seeds)
    x = x[(first <= x) & (x <= last)]
    returns = np.array([np.interp(x, seed.x, seed.returns) for seed in seeds])
    mean = returns.mean(axis=0)
    if len(seeds) > 2:
        deviation = returns.std(axis=0, ddof=1)
        return Band(x, mean, mean - deviation, mean + deviation, len(seeds))
    return Band(x, mean, returns.min(axis=0), returns.max(axis=0), len(seeds))


def read_curve(label: str, paths: Sequence[Path], episodes: str, axis: str) -> Band:
    """Reads the trainings of one curve.

    Args:
      label: The curve's, for errors.
      paths: The log directories or .csv files, one a seed.
      episodes: A key of `EPISODES`.
      axis: A key of `AXES`.

    Returns:
      Mean and band.

    Raises:
      UserError: A path has no returns, or the seeds have no x in common.
    """
    band = band_over_seeds(
        [
            read_csv(path, axis)
            if is_csv(path)
            else read_training(path, episodes, axis)
            for path in paths
        ]
    )
    if not len(band.x):
        raise UserError(
            f"the seeds of {label} have no {AXES[axis][1]} in common: one ends before "
            "another begins"
        )
    return band


def describe(label: str, num_seeds: int) -> str:
    """Returns a curve's line in the legend: what the band is, too."""
    if num_seeds == 1:
        return label
    if num_seeds == 2:
        return f"{label}: mean and range of 2 seeds"
    return f"{label}: mean and standard deviation of {num_seeds} seeds"


def draw(curves: dict[str, Band], axis: str, episodes: str) -> Any:
    """Draws the curves.

    Args:
      curves: By label.
      axis: A key of `AXES`.
      episodes: A key of `EPISODES`.

    Returns:
      The `matplotlib.figure.Figure`.

    Raises:
      UserError: matplotlib is not installed.
    """
    # Without pyplot, which would look for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for index, (label, band) in enumerate(curves.items()):
        color = f"C{index}"
        # A line of one point shows nothing.
        marker = "o" if len(band.x) == 1 else None
        name = describe(label, band.num_seeds)
        axes.plot(band.x, band.mean, color=color, marker=marker, label=name)
        if band.num_seeds > 1:
            axes.fill_between(
                band.x, band.low, band.high, color=color, alpha=0.2, linewidth=0
            )
    axes.set_xlabel(AXES[axis][1])
    axes.set_ylabel(EPISODES[episodes])
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def check_output(option: str, path: Path, suffixes: Sequence[str]) -> None:
    """Raises UserError if no file of these kinds can be written to a path."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{option} {path}: it must end with {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: no directory {path.parent}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises UserError where a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def export(args: argparse.Namespace) -> None:
    """Writes the curve of one log directory as a .csv file."""
    check_output("--export", args.export, [".csv"])
    paths = [path for paths in parse_curves(args.curves).values() for path in paths]
    if len(paths) != 1 or is_csv(paths[0]):
        raise UserError("--export takes the log directory of one training")
    quiet_imports()
    write_csv(args.export, paths[0], args.episodes)


def plot(args: argparse.Namespace) -> None:
    """Plots all curves."""
    check_output("--output", args.output, SUFFIXES)
    if not extras.is_installed("matplotlib"):
        raise extras.missing("plot", "scripts/plot_returns.py", "matplotlib")
    paths = parse_curves(args.curves)
    quiet_imports()
    curves = {
        label: read_curve(label, seeds, args.episodes, args.x)
        for label, seeds in paths.items()
    }
    figure = draw(curves, args.x, args.episodes)
    with writing(args.output):
        figure.savefig(args.output, dpi=150)


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("curves", nargs="+", metavar="[LABEL=]PATH[,PATH...]")
    outputs = parser.add_mutually_exclusive_group(required=True)
    outputs.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the plot; ends with .png, .svg or .pdf",
    )
    outputs.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="a curve instead of a plot; ends with .csv",
    )
    parser.add_argument(
        "--x",
        choices=AXES,
        default="env_steps",
        help="horizontal axis of the plot; default: %(default)s",
    )
    parser.add_argument(
        "--episodes",
        choices=EPISODES,
        default="eval",
        help="which returns of a directory: of evaluation or training episodes; "
        "default: %(default)s",
    )
    args = parser.parse_args()
    if args.export:
        export(args)
    else:
        plot(args)
    print(f"Wrote {args.export or args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
