"""The prepare step: all is checked before anything is written or started."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from tests.conftest import PENDULUM_PARAMS, REPOSITORY, WriteFiles
from tests.experiments import make_experiment
from tests.processes.door import DOOR
from tfagents_system.errors import run_command
from tfagents_system.experiment import identity
from tfagents_system.experiment.directory import Experiment
from tfagents_system.processes import prepare as prepare_step


@dataclasses.dataclass(frozen=True)
class Result:
    """How the prepare step ended, and what it said."""

    returncode: int
    stderr: str


Prepare = Callable[[Path, tuple[Path, Path]], Result]


@pytest.fixture
def prepare(capfd: pytest.CaptureFixture[str]) -> Prepare:
    """Returns a function that runs the prepare step in this process."""

    def run(exp_dir: Path, files: tuple[Path, Path]) -> Result:
        exp_dir.mkdir(exist_ok=True)
        capfd.readouterr()

        def main() -> int:
            prepare_step.prepare(Experiment(exp_dir), *files)
            return 0

        return Result(run_command(main), capfd.readouterr().err)

    return run


def test_the_launcher_hears_that_it_has_finished(
    write_files: WriteFiles, tmp_path: Path
) -> None:
    experiment = make_experiment(tmp_path)
    params, config = write_files()
    command = [*DOOR, "prepare", f"--exp_dir={experiment.root}"]
    command += [f"--params={params}", f"--config={config}"]
    reader, writer = os.pipe()
    with os.fdopen(reader) as result:
        subprocess.run(
            [*command, f"--result_fd={writer}"],
            cwd=REPOSITORY,
            check=True,
            pass_fds=[writer],
        )
        os.close(writer)
        assert int(result.read()) > 70_000 * 4
    assert experiment.params.exists()


def test_prepare_writes_specs_and_snapshots_and_resume_keeps_them(
    write_files: WriteFiles, prepare: Prepare, tmp_path: Path
) -> None:
    experiment = Experiment(tmp_path / "exp")
    files = write_files()
    result = prepare(experiment.root, files)
    assert result.returncode == 0, result.stderr
    assert experiment.params.read_text() == files[0].read_text()
    assert experiment.config.read_text() == files[1].read_text()
    assert experiment.specs.exists()
    assert "float32[3]" in result.stderr

    before = experiment.params.read_text()
    files[0].write_text(before.replace("(16,)", "(8,)"))
    result = prepare(experiment.root, files)
    assert result.returncode == 0
    assert "differs from the snapshot" in result.stderr
    assert experiment.params.read_text() == before


def test_without_a_horizon_the_environments_time_limit_is_kept_in_the_snapshot(
    write_files: WriteFiles, prepare: Prepare, tmp_path: Path
) -> None:
    experiment = Experiment(tmp_path / "exp")
    files = write_files(horizon=None, mine=[1.0])
    given = files[1].read_text()
    result = prepare(experiment.root, files)
    assert result.returncode == 0, result.stderr
    assert json.loads(experiment.config.read_text()) == {"mine": [1.0], "horizon": 200}
    assert "Replay: 70,000 transitions" in result.stderr  # 350 episodes of 200.
    assert files[1].read_text() == given

    result = prepare(experiment.root, files)
    assert result.returncode == 0, result.stderr
    assert "differs from the snapshot" not in result.stderr


ENDING_PARAMS = """
import sys
from tf_agents.environments import suite_gym
from tfagents_system.train_params_base import TrainParamsBase

if {place!r} == "import":
    sys.exit(0)


class TrainParams(TrainParamsBase):
    def __init__(self, env_config):
        super().__init__(env_config)
        if {place!r} == "constructor":
            sys.exit(0)

    def env_ctor(self, seed=None, *args, **kwargs):
        env = suite_gym.load("Pendulum-v1")
        if {place!r} == "env_ctor":
            sys.exit(0)
        method = getattr(env, {place!r}, None)

        def end(*args, **kwargs):
            sys.exit(0)

        if method is not None:
            setattr(env, {place!r}, end)
        return env
"""


@pytest.mark.parametrize(
    "place", ["import", "constructor", "env_ctor", "reset", "step"]
)
def test_code_that_ends_the_process_is_refused_in_one_line(
    write_files: WriteFiles, prepare: Prepare, tmp_path: Path, place: str
) -> None:
    experiment = Experiment(tmp_path / "exp")
    files = write_files(ENDING_PARAMS.format(place=place))
    result = prepare(experiment.root, files)
    assert result.returncode == 2
    last_line = result.stderr.strip().splitlines()[-1]
    assert last_line.startswith("error: ")
    assert last_line.endswith("it ended the process (sys.exit(0))")
    assert list(experiment.root.iterdir()) == []


def test_what_a_training_had_reached_is_not_begun_anew(
    write_files: WriteFiles, prepare: Prepare, tmp_path: Path
) -> None:
    experiment = make_experiment(tmp_path)
    identity.note_checkpoint(experiment)
    result = prepare(experiment.root, write_files())
    assert result.returncode == 2
    assert "the checkpoints of" in result.stderr.strip().splitlines()[-1]
    assert not experiment.params.exists()


def test_complete_training_is_left_alone_until_it_is_made_longer(
    write_files: WriteFiles, prepare: Prepare, tmp_path: Path
) -> None:
    experiment = Experiment(tmp_path / "exp")
    files = write_files(train_params={"num_iter": 5, "num_steps_per_iter": 10})
    assert prepare(experiment.root, files).returncode == 0
    experiment.mark_done(50)
    before = {path: path.read_bytes() for path in experiment.root.glob("*.*")}
    # Nothing is built any more.
    experiment.specs.write_text("damaged")
    before[experiment.specs] = b"damaged"
    result = prepare(experiment.root, files)
    assert (result.returncode, result.stderr) == (0, "")
    assert {p: p.read_bytes() for p in experiment.root.glob("*.*")} == before

    experiment.specs.unlink()
    config = json.loads(experiment.config.read_text())
    config["train_params"]["num_iter"] = 6
    experiment.config.write_text(json.dumps(config))
    result = prepare(experiment.root, files)
    assert result.returncode == 0, result.stderr
    assert "differs from the snapshot" in result.stderr
    assert not experiment.done.exists()
    assert experiment.specs.exists()


@pytest.mark.parametrize("config", [{"horizon": "long"}, {"train_params": {"x": 1}}])
def test_what_is_refused_leaves_no_snapshot(
    write_files: WriteFiles, prepare: Prepare, tmp_path: Path, config: dict[str, object]
) -> None:
    experiment = Experiment(tmp_path / "exp")
    result = prepare(experiment.root, write_files(**config))
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert list(experiment.root.iterdir()) == []


def test_matrix_actions_are_refused_with_the_users_code_blamed(
    write_files: WriteFiles, prepare: Prepare, tmp_path: Path
) -> None:
    params = """
    from tf_agents.environments import random_py_environment
    from tf_agents.specs import array_spec
    from tfagents_system.train_params_base import TrainParamsBase


    class TrainParams(TrainParamsBase):
        def env_ctor(self, seed=None):
            return random_py_environment.RandomPyEnvironment(
                array_spec.BoundedArraySpec((3,), "float32", -1, 1),
                array_spec.BoundedArraySpec((2, 3), "float32", -1, 1),
            )
    """
    result = prepare(tmp_path, write_files(params))
    assert result.returncode == 2
    last_line = result.stderr.strip().splitlines()[-1]
    assert last_line.startswith("error: agent_ctor, actor_ctor and critic_ctor failed")


def test_changed_environment_is_refused_on_resume(
    write_files: WriteFiles, prepare: Prepare, tmp_path: Path
) -> None:
    experiment = Experiment(tmp_path / "exp")
    files = write_files()
    assert prepare(experiment.root, files).returncode == 0
    experiment.params.write_text(
        PENDULUM_PARAMS.replace("Pendulum-v1", "MountainCarContinuous-v0")
    )
    result = prepare(experiment.root, files)
    assert result.returncode == 2
    assert "choose a new SAC_EXP_NAME" in result.stderr
