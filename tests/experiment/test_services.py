"""The services' names, and the count of their starts and failures."""

from __future__ import annotations

import time
from pathlib import Path

from tfagents_system.experiment import services
from tfagents_system.experiment.directory import Experiment


def test_workers_are_named_by_their_number() -> None:
    assert services.worker_name(3) == "collect_worker_3"
    assert services.is_worker(services.worker_name(12))
    assert not services.is_worker(services.LEARNER)
    assert not services.is_worker(services.REPLAY_SERVER)


def test_starts_and_failures_are_counted_by_their_lines(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    assert services.count_starts(experiment, "learner") == 0
    assert services.count_failures(experiment, "learner") == 0
    folder = experiment.service("learner")
    folder.mkdir(parents=True)
    for count in (1, 2, 3):
        with (folder / "starts").open("a") as starts:
            starts.write("1700000000\n")
        services.record_failure(folder)
        assert services.count_starts(experiment, "learner") == count
        assert services.count_failures(experiment, "learner") == count
    last = int((folder / "failures").read_text().splitlines()[-1])
    assert abs(time.time() - last) < 60


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
