"""The one-process mode in this process, and the examples of its page."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context
from threadpoolctl import threadpool_info

from tests.conftest import PENDULUM_PARAMS, REPOSITORY
from tests.end_to_end.harness import read_scalars
from tests.test_docs import code_blocks
from tfagents_system.algorithm import sac
from tfagents_system.errors import UserError
from tfagents_system.learning import rehearsal
from tfagents_system.one_process import training
from tfagents_system.one_process.trainer import Trainer
from tfagents_system.train_params_base import TrainParamsBase

PAGE = REPOSITORY / "docs" / "one_process.md"
WRITTEN_BEFORE = REPOSITORY / "tests" / "experiment" / "written_before"
SHORT = {
    "env": "Pendulum-v1",
    "hidden": [16],
    "batch_size": 16,
    "iterations": 60,
    "warm_up_steps": 20,
    "log_interval": 50,
    "checkpoint_interval": 25,
    "episodes_per_eval": 1,
}


@pytest.fixture(autouse=True)
def restore_random_state() -> Any:
    """Keeps the seeds of a training from other tests."""
    yield
    tf.random.set_seed(None)


def example(index: int) -> dict[str, Any]:
    """Runs an example of the page; returns what it defines."""
    namespace: dict[str, Any] = {}
    exec(code_blocks(PAGE, "python")[index], namespace)
    return namespace


def test_a_loop_of_its_own_and_what_is_written(
    tmp_path: Path, saved_models: None
) -> None:
    assert training.train(tmp_path, SHORT, example(1)["MyTrainer"])
    names = [path.name for path in (tmp_path / "policies" / "checkpoints").iterdir()]
    assert max(names) == "policy_checkpoint_0000000080"  # Twice (60 - 20).
    kwargs = json.loads((tmp_path / "kwargs.json").read_text())
    assert {name: kwargs[name] for name in SHORT} == SHORT
    assert kwargs["tau"] == 5e-3
    assert (tmp_path / "policies" / "greedy_policy" / "saved_model.pb").is_file()

    with pytest.raises(UserError, match=r"--tau is .* begun with 0\.005"):
        training.train(tmp_path, {"tau": 0.1})
    assert training.train(tmp_path, {})  # Already complete.
    assert training.train(tmp_path, {"iterations": 70})
    assert json.loads((tmp_path / "ckpt-70.json").read_text())["rows"] == [0, 70]


def test_a_sac_of_its_own_gets_its_flags(tmp_path: Path) -> None:
    path = tmp_path / "my_sac.py"
    path.write_text(code_blocks(PAGE, "python")[0])
    seen = []
    threads: set[int] = set()

    class Watching(Trainer):
        def learn(self) -> None:
            seen.append((type(self.agent).__name__, self.agent.pessimism))
            threads.update(
                pool["num_threads"]
                for pool in threadpool_info()
                if pool["user_api"] == "blas"
            )
            super().learn()

    given = {**SHORT, "params": str(path), "pessimism": 0.5, "iterations": 25}
    assert training.train(tmp_path / "runs", given, Watching)
    assert seen == [("MySac", 0.5)] * 5
    # Idle threads of NumPy would take a CPU from TensorFlow.
    assert threads == {1}
    assert json.loads((tmp_path / "runs/kwargs.json").read_text())["pessimism"] == 0.5


def test_a_train_function_of_its_own(load: Any) -> None:
    params = load(train_params={"train_batch_size": 8})
    agent = example(2)["my_train"](params, 30)
    assert isinstance(agent, sac.ShardedSacAgent)
    assert agent.train_step_counter.numpy() == 30


def test_a_params_file_sets_the_loop_and_its_flags_win(
    write_files: Any, tmp_path: Path
) -> None:
    params, config = write_files(
        horizon=20,
        curriculum={},
        train_params={
            "num_iter": 3,
            "num_steps_per_iter": 4,
            "n_buffer_init_episodes": 1,
            "checkpoint_period_itrs": 2,
            "train_batch_size": 8,
        },
    )
    given = {"params": str(params), "config": str(config), "episodes_per_eval": 2}
    assert training.train(tmp_path / "runs", given)
    kwargs = json.loads((tmp_path / "runs" / "kwargs.json").read_text())
    assert kwargs["iterations"] == 20 + 3 * 4
    assert kwargs["warm_up_steps"] == 20
    assert kwargs["checkpoint_interval"] == 8
    assert kwargs["buffer_size"] == 350 * 20
    assert kwargs["episodes_per_eval"] == 2
    with pytest.raises(UserError, match=r"--tau: TrainParams of .* does not read it"):
        training.train(tmp_path / "other", {**given, "tau": 0.1})


class Remembering(Trainer):
    """The trainer that `train` made last is `last`."""

    last: Remembering

    def run(self) -> None:
        Remembering.last = self
        super().run()


class Idle(Remembering):
    """Trains nothing."""

    def run(self) -> None:
        Remembering.last = self


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the log directory of a training of 60 iterations; copy it."""
    logdir = tmp_path_factory.mktemp("trained")
    assert training.train(logdir, SHORT)
    return logdir


def test_a_learning_rate_edited_in_the_snapshot_is_applied_and_moments_come_back(
    trained: Path, tmp_path: Path
) -> None:
    agents = {}
    for name in ("as it was", "edited"):
        logdir = shutil.copytree(trained, tmp_path / name)
        if name == "edited":
            with (logdir / "params.py").open("a") as file:
                file.write(
                    "    def __init__(self, env_config):\n"
                    "        super().__init__(env_config)\n"
                    "        self.critic_learning_rate = 0.125\n"
                )
        assert training.train(logdir, {"iterations": 61}, Remembering)
        agents[name] = Remembering.last.agent
    before, edited = agents.values()
    assert float(before._critic_optimizer.learning_rate) == pytest.approx(3e-4)
    assert float(edited._critic_optimizer.learning_rate) == 0.125
    assert float(edited._actor_optimizer.learning_rate) == pytest.approx(3e-4)
    # After one more step from the same weights the moments are still the same.
    assert int(edited._critic_optimizer.iterations) == 41
    for one, two in zip(
        before._critic_network_1.trainable_variables,
        edited._critic_network_1.trainable_variables,
    ):
        for moment in ("m", "v"):
            np.testing.assert_array_equal(
                before._critic_optimizer.get_slot(one, moment),
                edited._critic_optimizer.get_slot(two, moment),
            )
        assert not np.allclose(one, two, atol=0.01)


def test_normalization_cannot_be_switched_on_resume(
    trained: Path, tmp_path: Path
) -> None:
    logdir = shutil.copytree(trained, tmp_path / "runs")
    edit_config(logdir / "config.json", normalize_observations=True)
    message = (
        "normalize_observations False, not True; set it back, or choose a new --log"
    )
    with pytest.raises(UserError, match=message) as error:
        training.train(logdir, {"iterations": 70})
    assert "\n" not in str(error.value)


def edit_discount(params: Path, value: float) -> None:
    """Changes a setting in a params file."""
    text = params.read_text()
    params.write_text(re.sub(r"self.discount = .*", f"self.discount = {value}", text))


def edit_config(config: Path, **changes: Any) -> None:
    """Changes hyperparameters in a JSON."""
    content = json.loads(config.read_text())
    content.setdefault("train_params", {}).update(changes)
    config.write_text(json.dumps(content))


def test_snapshots_count_and_not_the_originals(
    write_files: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params, config = write_files(
        PENDULUM_PARAMS.replace(
            "self.num_steps", "self.discount = 0.9\n        self.num_steps"
        ),
        horizon=None,
        train_params={"train_batch_size": 8, "target_update_tau": 0.25},
    )
    runs = tmp_path / "runs"
    given = {
        "params": str(params),
        "config": str(config),
        "my_flag": 3,
        "warm_up_steps": 10,
    }

    def resume() -> tuple[TrainParamsBase, list[str]]:
        """Begins to train, or resumes; returns what with, and the notes."""
        assert not training.train(runs, given, Idle)
        lines = capsys.readouterr().err.splitlines()
        return Remembering.last.params, [n for n in lines if n.startswith("note: ")]

    resume()

    # Neither a flag nor the environment's horizon is a difference.
    resumed, notes = resume()
    assert notes == []
    assert (resumed.env_config["my_flag"], resumed.env_config["horizon"]) == (3, 200)

    # Of two JSONs the snapshot counts; of two params files the one that is named.
    edit_discount(params, 0.5)
    edit_config(config, target_update_tau=0.5)
    resumed, notes = resume()
    assert (resumed.discount, resumed.target_update_tau) == (0.5, 0.25)
    assert [note.split()[:4] for note in notes] == [
        ["note:", str(original), "differs", "from"] for original in (config, params)
    ]

    # Where none is named, that of the directory counts.
    del given["params"], given["config"]
    edit_discount(runs / "params.py", 0.75)
    edit_config(
        runs / "config.json",
        target_update_tau=0.75,
        n_episodes_in_buffer=100,
        n_buffer_init_episodes=5,
    )
    resumed, notes = resume()
    assert (resumed.discount, resumed.target_update_tau) == (0.75, 0.75)
    # A flag that was given stays as it was; the others follow from the params.
    loop = Remembering.last.loop
    assert (loop.warm_up_steps, loop.buffer_size) == (10, 100 * 200)
    assert loop.iterations == 5 * 200 + resumed.total_train_steps
    kwargs = json.loads((runs / "kwargs.json").read_text())
    assert (kwargs["my_flag"], kwargs["warm_up_steps"]) == (3, 10)

    # Without the originals the snapshots are enough.
    params.unlink()
    config.unlink()
    resumed, notes = resume()
    assert (resumed.discount, resumed.target_update_tau) == (0.75, 0.75)
    assert notes == []


def test_flags_win_over_an_edited_snapshot_of_them(tmp_path: Path) -> None:
    assert not training.train(tmp_path, SHORT, Idle)
    kwargs = (tmp_path / "kwargs.json").read_text()
    config = json.loads((tmp_path / "config.json").read_text())
    config["batch_size"], config["tau"] = 4, 0.5
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert not training.train(tmp_path, {}, Idle)
    params = Remembering.last.params
    assert (params.train_batch_size, params.target_update_tau) == (16, 5e-3)
    assert (tmp_path / "kwargs.json").read_text() == kwargs


def test_a_log_directory_of_the_version_before_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.unpack_archive(WRITTEN_BEFORE / "one_process.tar.xz", tmp_path)
    rows = np.load(tmp_path / "replay" / "rows_000000000000_000000000060_0.npy")
    reader = tf.train.load_checkpoint(str(tmp_path / "ckpt-60"))

    def saved(name: str) -> Any:
        return reader.get_tensor(f"agent/{name}/.ATTRIBUTES/VARIABLE_VALUE")

    class Checking(Remembering):
        def run(self) -> None:
            assert (self.iteration, self.train_step) == (60, 40)
            assert self.collector.num_episodes == 3
            np.testing.assert_array_equal(self.buffer.read(0, 60), [rows])
            for network in ("_critic_network_1", "_target_critic_network_2"):
                kernel, bias, *_ = getattr(self.agent, network).variables
                layer = f"{network}/_joint_layers/1"
                np.testing.assert_array_equal(kernel, saved(f"{layer}/kernel"))
                np.testing.assert_array_equal(bias, saved(f"{layer}/bias"))
            assert self.agent._log_alpha.numpy() == saved("_log_alpha")
            super().run()

    assert training.train(tmp_path, {"iterations": 80}, Checking)
    lines = capsys.readouterr().err.splitlines()
    assert "resumed at iteration 60" in lines
    assert not [line for line in lines if line.startswith("note: ")]
    trainer = Remembering.last
    assert trainer.train_step == 60
    assert int(trainer.agent._critic_optimizer.iterations) == 60
    np.testing.assert_array_equal(trainer.buffer.read(0, 60), [rows])
    assert json.loads((tmp_path / "ckpt-80.json").read_text())["rows"] == [0, 80]
    kwargs = json.loads((tmp_path / "kwargs.json").read_text())
    assert (kwargs["iterations"], kwargs["hidden"]) == (80, [8])


def test_a_dead_environment_says_which_one_works(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Ant-v2 needs mujoco-py.* use Ant-v5"):
        training.train(tmp_path / "runs", {"env": "Ant-v2"})
    assert not (tmp_path / "runs").exists()


EXITING_PARAMS = """
import sys
from tf_agents.environments import suite_gym
from tfagents_system.one_process.params import FlagParams


class TrainParams(FlagParams):
    def env_ctor(self, seed=None, *args, **kwargs):
        env = suite_gym.load("Pendulum-v1")
        env.step = lambda action: sys.exit(0)
        return env
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\n\nsys.exit()", "exiting.py:3: it ended the process"),
        ("raise SystemExit(0)", "exiting.py:1: it ended the process"),
        (EXITING_PARAMS, "the environment failed, see above: it ended the process"),
    ],
    ids=["import", "raise", "step"],
)
def test_a_params_file_that_ends_python_is_one_line(
    code: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "exiting.py"
    path.write_text(code)
    with pytest.raises(UserError, match=re.escape(said)) as error:
        training.train(tmp_path / "runs", {**SHORT, "params": str(path)})
    assert "\n" not in str(error.value)


def test_a_training_leaves_no_global_seed_behind(tmp_path: Path) -> None:
    assert not training.train(tmp_path, SHORT, Idle)
    # It would be baked into whatever policy is exported later.
    assert context.global_seed() is None


def test_a_directory_that_was_taken_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = '{"env": "Ant-v5"}'
    rehearse = rehearsal.rehearse

    def rehearse_slowly(*args: Any) -> Any:
        rehearsed = rehearse(*args)
        (tmp_path / "kwargs.json").write_text(others)
        return rehearsed

    monkeypatch.setattr(rehearsal, "rehearse", rehearse_slowly)
    with pytest.raises(UserError, match="another training began in"):
        training.train(tmp_path, SHORT)
    assert (tmp_path / "kwargs.json").read_text() == others
    assert not (tmp_path / "params.py").exists()


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_rate_return_and_time_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    # Pendulum's episodes have 200 steps; a checkpoint would begin a new one.
    given = {**SHORT, "iterations": 250, "checkpoint_interval": 1000}
    assert training.train(tmp_path, given)
    shown = terminal.getvalue()
    assert re.search(
        r"\r100%.* 250/250 \[00:\d\d<00:00, .*it/s, return -[\d.]+\]", shown
    )
    assert re.search(r"[\r\n]iteration 250: return -\d+", shown)


GOAL_PARAMS = '''
import gym
import numpy as np

from tf_agents.environments import suite_gym
from tf_agents.metrics import py_metrics
from tfagents_system.one_process.params import FlagParams


class Goal(gym.Env):
    """Ten steps; every second episode is a success."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    episode = 0

    def reset(self):
        self.step_index = 0
        self.episode += 1
        return np.zeros(1, np.float32)

    def step(self, action):
        self.step_index += 1
        info = {"is_success": self.episode % 2 == 0}
        return np.zeros(1, np.float32), 1.0, self.step_index == 10, info


class TrainParams(FlagParams):
    def env_ctor(self, seed=None, *args, **kwargs):
        return suite_gym.wrap_env(Goal())

    def eval_observers_ctor(self):
        return {}, {}, {"num_steps": py_metrics.EnvironmentSteps()}
'''


def test_episodes_are_logged_as_by_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "goal.py"
    path.write_text(GOAL_PARAMS)
    given = {**SHORT, "params": str(path), "horizon": 10, "checkpoint_interval": 1000}
    assert training.train(tmp_path / "runs", {**given, "iterations": 100})
    train = read_scalars(tmp_path / "runs" / "train" / "sac")
    returns = train["Metrics_vs_env_step/return"]
    assert returns == [(step, 10.0) for step in range(10, 110, 10)]
    assert train["Metrics/success_rate"][-1][1] == 0.5
    assert train["Metrics/env_steps_per_sec"][-1][1] > 0
    # Metrics are of one evaluation: ten steps, not of all so far.
    evaluations = read_scalars(tmp_path / "runs" / "eval" / "sac")
    assert [value for _, value in evaluations["Metrics/num_steps"]] == [10.0, 10.0]


def test_a_replay_made_larger_on_resume_holds_only_rows_that_were_added(
    write_files: Any, tmp_path: Path
) -> None:
    params, config = write_files(
        horizon=20,
        train_params={
            "num_iter": 3,
            "num_steps_per_iter": 4,
            "n_buffer_init_episodes": 1,
            "n_episodes_in_buffer": 1,
            "train_batch_size": 8,
        },
    )
    runs = tmp_path / "runs"
    assert training.train(runs, {"params": str(params), "config": str(config)})
    rows = json.loads((runs / "ckpt-32.json").read_text())["rows"]
    assert rows == [12, 32]
    edit_config(runs / "config.json", n_episodes_in_buffer=5, num_iter=4)
    assert not training.train(runs, {}, Idle)
    buffer = Remembering.last.buffer
    assert buffer.capacity == 100
    assert (buffer.first, buffer.num_added, len(buffer)) == (12, 32, 20)
