"""Plots the returns of one or more trainings, with a band over seeds.

    python scripts/plot_returns.py [LABEL=]DIR[,DIR...] ... --output returns.png

Each DIR is the log directory of one training, LABEL=DIR,DIR,... one curve over several
(seeds): their mean, and as band one sample standard deviation up and down; of two
seeds, the range between them. * and ? stand for parts of a directory's name, and a
LABEL may come more than once. A DIR alone is a curve that is named after it.

Between its points a seed is interpolated linearly, and a curve goes only as far as all
of its seeds do. Several workers of one training are averaged in the same way, at each
point those that have begun and not stopped. Against wall_time, hours count from the
first event of a directory; the pause before a training was resumed counts too.
"""

from __future__ import annotations

import argparse
import glob
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

#: For each horizontal axis the tag that has it (see `tfagents_system.metrics`), and
#: what is written below it. An event's wall time does not depend on the tag.
AXES = {
    "env_steps": ("Metrics_vs_env_step/return", "env steps"),
    "train_steps": ("Metrics/return", "train steps"),
    "wall_time": ("Metrics/return", "hours"),
}
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


def find_directories(pattern: str) -> list[Path]:
    """Finds the directory of that name, or else all that match it as a pattern.

    Raises:
      UserError: There is none.
    """
    if Path(pattern).is_dir():
        return [Path(pattern)]
    matches = [Path(match) for match in sorted(glob.glob(pattern))]  # noqa: PTH207
    found = [match for match in matches if match.is_dir()]
    if not found:
        raise UserError(f"no directory {pattern}")
    return found


def parse_curves(arguments: Sequence[str]) -> dict[str, list[Path]]:
    """Reads the arguments `[LABEL=]DIR[,DIR...]`.

    Args:
      arguments: Of the command line; in each the last = ends the label.

    Returns:
      The directories of each label, in the order of the arguments.

    Raises:
      UserError: A directory does not exist or is given twice, or two that have no label
        have the same name.
    """
    curves: dict[str, list[Path]] = {}
    for argument in arguments:
        label, _, listed = argument.rpartition("=")
        patterns = [pattern for pattern in listed.split(",") if pattern]
        if label and patterns and not Path(argument).is_dir():
            directories = curves.setdefault(label, [])
            for pattern in patterns:
                directories += find_directories(pattern)
            continue
        for directory in find_directories(argument):
            label = directory.resolve().name
            if label in curves:
                raise UserError(
                    f"two curves are named {label}; name them: LABEL={directory}"
                )
            curves[label] = [directory]
    for label, directories in curves.items():
        if len({directory.resolve() for directory in directories}) < len(directories):
            raise UserError(
                f"a directory is given twice for {label}; a seed counts once"
            )
    return curves


def event_files(folder: Path) -> list[Path]:
    """Returns all event files below a folder, by name."""
    return sorted(folder.rglob("events.out.tfevents.*"))


def load_events(path: Path) -> Iterator[Any]:
    """Yields the events of a file, up to where it is damaged or still written."""
    from tensorboard.backend.event_processing import event_file_loader

    yield from event_file_loader.EventFileLoader(str(path)).Load()


def first_event_secs(directory: Path) -> float:
    """Returns the Unix time, in seconds, of the first event of a log directory.

    Its first event a file gets when it is opened, at the start of a process.
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


def read_training(directory: Path, episodes: str, axis: str) -> Series:
    """Reads the returns of one training.

    The event files of a folder are one worker's, one for each of its starts:
    `eval/collect_worker_<i>`, or `eval` itself if the training is one process.

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
    folder = directory / episodes
    paths = event_files(folder)
    if not paths:
        raise UserError(
            f"no TensorBoard events in {folder}; is {directory} the log directory of "
            "a training?"
        )
    from tensorboard.util import tensor_util

    points = defaultdict(list)
    for path in paths:
        for event in load_events(path):
            x = event.wall_time if axis == "wall_time" else event.step
            for value in event.summary.value:
                if value.tag == tag:
                    episode_return = tensor_util.make_ndarray(value.tensor).item()
                    points[path.parent].append((x, episode_return))
    if not points:
        raise UserError(f"no {tag} in the events of {folder} yet; no episode has ended")
    workers = [average_repeats(*np.array(pairs).T) for pairs in points.values()]
    training = average_workers(workers)
    if axis != "wall_time":
        return training
    hours = (training.x - first_event_secs(directory)) / SECS_PER_HOUR
    return Series(hours, training.returns)


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


def read_curve(
    label: str, directories: Sequence[Path], episodes: str, axis: str
) -> Band:
    """Reads the trainings of one curve.

    Args:
      label: The curve's, for errors.
      directories: The log directories, one a seed.
      episodes: A key of `EPISODES`.
      axis: A key of `AXES`.

    Returns:
      Mean and band.

    Raises:
      UserError: A directory has no returns, or the seeds have no x in common.
    """
    band = band_over_seeds([read_training(d, episodes, axis) for d in directories])
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


def check_output(output: Path) -> None:
    """Raises UserError if a plot cannot be written to that path."""
    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"--output {output}: it must end with {', '.join(SUFFIXES)}")
    if not output.parent.is_dir():
        raise UserError(f"--output {output}: no directory {output.parent}")
    if not extras.is_installed("matplotlib"):
        raise extras.missing("plot", "scripts/plot_returns.py", "matplotlib")


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("curves", nargs="+", metavar="[LABEL=]DIR[,DIR...]")
    parser.add_argument(
        "--output", type=Path, required=True, help="ends with .png, .svg or .pdf"
    )
    parser.add_argument(
        "--x", choices=AXES, default="env_steps", help="default: %(default)s"
    )
    parser.add_argument(
        "--episodes",
        choices=EPISODES,
        default="eval",
        help="whose returns: evaluation or training; default: %(default)s",
    )
    args = parser.parse_args()
    check_output(args.output)
    directories = parse_curves(args.curves)
    quiet_imports()
    curves = {
        label: read_curve(label, seeds, args.episodes, args.x)
        for label, seeds in directories.items()
    }
    figure = draw(curves, args.x, args.episodes)
    try:
        figure.savefig(args.output, dpi=150)
    except OSError as error:
        raise UserError(
            f"cannot write {args.output}: {error.strerror or error}"
        ) from error
    print(f"Wrote {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
