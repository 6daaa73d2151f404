"""The services' names, and the count of their starts and failures."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.experiment import services
from tfagents_system.experiment.directory import Experiment


def test_workers_are_named_by_their_number() -> None:
    assert services.worker_name(3) == "collect_worker_3"
    assert services.is_worker(services.worker_name(12))
    assert not services.is_worker(services.LEARNER)
    assert not services.is_worker(services.REPLAY_SERVER)


BEGIN = REPOSITORY / "supervise" / "begin.sh"


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Returns an experiment with the folder of a learner."""
    experiment = Experiment(tmp_path)
    experiment.service("learner").mkdir(parents=True)
    return experiment


def start(folder: Path) -> None:
    """Starts a service as its run script does."""
    subprocess.run(["sh", BEGIN], cwd=folder, check=True)


def counts(experiment: Experiment) -> tuple[int, int]:
    """Returns the starts and the failures of the learner."""
    return (
        services.count_starts(experiment, "learner"),
        services.count_failures(experiment, "learner"),
    )


@pytest.mark.parametrize("is_made", [True, False])
def test_starts_and_failures_are_counted(experiment: Experiment, is_made: bool) -> None:
    folder = experiment.service("learner")
    assert counts(experiment) == (0, 0)
    if is_made:  # As the launcher does.
        services.make_counts(folder)
    assert counts(experiment) == (0, 0)
    for count in range(1, 12):
        start(folder)
        assert counts(experiment) == (count, count - 1)
        services.record_failure(folder)
        assert counts(experiment) == (count, count)
    services.make_counts(folder)
    assert counts(experiment) == (11, 11)


def test_counts_of_an_earlier_version_go_on(experiment: Experiment) -> None:
    folder = experiment.service("learner")
    (folder / "starts").write_text("1700000000\n" * 3)
    (folder / "failures").write_text("1700000000\n" * 2)
    assert counts(experiment) == (3, 2)
    services.make_counts(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "num_failures",
        "num_starts",
    ]
    start(folder)
    services.record_failure(folder)
    assert counts(experiment) == (4, 3)


@pytest.mark.parametrize("damage", [b"", b"\0" * 11, b"many\n", b"0007\n"])
def test_a_damaged_count_begins_again(experiment: Experiment, damage: bytes) -> None:
    folder = experiment.service("learner")
    for name in ("num_starts", "num_failures"):
        (folder / name).write_bytes(damage)
    start(folder)
    services.record_failure(folder)
    assert counts(experiment) in [(1, 1), (1, 8)]
    services.make_counts(folder)
    start(folder)
    assert services.count_starts(experiment, "learner") == 2


def test_counts_are_overwritten_in_place_which_a_full_disk_allows(
    experiment: Experiment,
) -> None:
    """Counts in files that can neither grow nor be cut short."""
    folder = experiment.service("learner")
    services.make_counts(folder)
    files = []
    for name in ("num_starts", "num_failures"):
        file = os.memfd_create(name, os.MFD_ALLOW_SEALING)
        os.write(file, (folder / name).read_bytes())
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        (folder / name).unlink()
        (folder / name).symlink_to(f"/proc/{os.getpid()}/fd/{file}")
        files.append(file)
    for count in range(1, 12):
        start(folder)
        services.record_failure(folder)
        assert counts(experiment) == (count, count)
    for file in files:
        os.close(file)


def test_a_failure_that_cannot_be_counted_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    services.record_failure(tmp_path / "gone")
    assert "this failure is not counted: " in caplog.text
    assert not (tmp_path / "gone").exists()


def test_last_lines_of_a_log_with_anything_in_it(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    assert services.last_log_lines(experiment, "learner", 5) == []
    log = experiment.service_log("learner")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"zero\nfirst\nsec\xffond\nno end of line")
    assert services.last_log_lines(experiment, "learner", 2) == [
        "sec\ufffdond",
        "no end of line",
    ]
    assert len(services.last_log_lines(experiment, "learner", 99)) == 4
