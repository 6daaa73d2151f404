"""The paths of an experiment directory, and its DONE mark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.errors import UserError
from tfagents_system.experiment import directory
from tfagents_system.experiment.directory import Experiment


def test_half_a_done_mark_is_none(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    assert not experiment.is_trained_for(10)
    experiment.mark_done(10)
    assert experiment.is_trained_for(10)
    assert not experiment.is_trained_for(11)
    experiment.done.write_text("train_st")
    assert not experiment.is_trained_for(10)


def test_a_directory_that_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path / "a" / "b")
    with pytest.raises(FileNotFoundError, match="it is gone"):
        experiment.make_folder(experiment.status("learner").parent)
    assert list(tmp_path.iterdir()) == []
    experiment.make()
    folder = experiment.make_folder(experiment.train_summaries("learner"))
    assert folder.is_dir()
    file = Experiment(tmp_path / "a" / "file")
    file.root.touch()
    with pytest.raises(UserError, match=r"cannot make .*/file: "):
        file.make()


@pytest.mark.parametrize(
    ("name", "message"), [("there", "cannot write to"), ("new", "cannot make")]
)
def test_a_read_only_directory_is_one_line(
    name: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    code = (
        "import pathlib, sys\n"
        "from tfagents_system.errors import run_command\n"
        "from tfagents_system.experiment.directory import Experiment\n"
        "sys.exit(run_command(Experiment(pathlib.Path(sys.argv[1])).make))\n"
    )
    read_only = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    mounted = ["unshare", "--map-root-user", "--mount", "sh", "-c", read_only]
    result = subprocess.run(
        [*mounted, str(tmp_path), sys.executable, "-c", code, str(tmp_path / name)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {message} {tmp_path / name}")
    assert result.stderr.count("\n") == 1


def test_the_layout_is_the_documented_one() -> None:
    experiment = Experiment(Path("/exp"))
    paths = {
        experiment.identity: "experiment.json",
        experiment.config: "config.json",
        experiment.params: "params.py",
        experiment.run: "run.json",
        experiment.specs: "specs.pbtxt",
        experiment.service("learner"): "services/learner",
        experiment.service_log("learner"): "services/learner/log/main/current",
        experiment.status("learner"): "status/learner.json",
        experiment.replay: "replay",
        experiment.checkpoints: "train/checkpoints",
        experiment.train_summaries("learner"): "train/learner",
        experiment.eval_summaries("collect_worker_0"): "eval/collect_worker_0",
        experiment.policies: "policies",
        experiment.policy_checkpoints: "policies/checkpoints",
        experiment.videos: "videos",
        experiment.temporary_files: "tmp",
        experiment.done: "DONE",
    }
    assert len(paths) == 17
    for path, expected in paths.items():
        assert str(path) == f"/exp/{expected}"
        # Each entry is in the picture at the top of the module.
        assert expected.split("/")[0] in str(directory.__doc__)


def test_paths_are_as_given_or_relative_to_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    in_repository = REPOSITORY / "config" / "minitaur.json"
    assert directory.REPOSITORY == REPOSITORY
    assert directory.resolve_path("config/minitaur.json") == in_repository
    assert directory.resolve_path("not/there") == REPOSITORY / "not" / "there"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "minitaur.json").touch()
    here = tmp_path / "config" / "minitaur.json"
    assert directory.resolve_path("config/minitaur.json") == here
    assert directory.resolve_path(str(tmp_path / "gone")) == tmp_path / "gone"
    assert directory.resolve_path("~/x") == Path.home() / "x"
