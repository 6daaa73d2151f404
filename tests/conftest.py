"""Fixtures shared by the tests: files of a tiny experiment, a real Reverb server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.slurm.cluster import Cluster, running_cluster
from tfagents_system.experiment.directory import Experiment
from tfagents_system.host.fast_imports import fast_imports
from tfagents_system.host.headless import render_without_screen
from tfagents_system.host.quiet import quiet_imports
from tfagents_system.launcher import topology

# Variables that keep connections of this machine with itself off a proxy. The tests'
# own clients and servers need them as the processes of a run do.
NO_PROXY = topology.without_proxy(os.environ)

# Every process of xdist imports all there is to test.
IMPORTS = contextlib.ExitStack()
IMPORTS.enter_context(fast_imports())
quiet_imports()
render_without_screen()
os.environ.update(NO_PROXY)
# Under nohup, or in the background of a script, the processes that the tests start and
# signal would ignore these, too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# What scripts/test.sh --quick leaves out: whole trainings, set-ups, and what starts
# many processes or learns for long. Files and tests, by the beginnings of their names.
SLOW = (
    "tests/algorithm/test_networks.py",
    "tests/algorithm/test_recurrent.py",
    "tests/algorithm/test_sac.py",
    "tests/end_to_end/",
    "tests/environments/test_extras.py",
    "tests/host/test_memory.py::test_estimate_is_what_reverb_takes",
    "tests/host/test_ports.py::test_a_machine_without_ipv6",
    "tests/host/test_quiet.py",
    "tests/host/test_threads.py",
    "tests/launcher/test_prepare_step.py",
    "tests/launcher/test_slurm_job.py",
    "tests/launcher/test_submit.py::test_a_dry_run",
    "tests/launcher/test_worker_nodes.py",
    "tests/learning/test_agent_state.py",
    "tests/learning/test_checkpoint.py",
    "tests/learning/test_gradient_steps.py",
    "tests/learning/test_saver.py",
    "tests/learning/test_training_loop.py",
    "tests/one_process/test_background_steps.py",
    "tests/one_process/test_trainer.py",
    "tests/one_process/test_training.py",
    "tests/processes/test_environments.py",
    "tests/processes/test_learner.py",
    "tests/processes/test_main.py",
    "tests/processes/test_replay_server.py",
    "tests/processes/test_startup.py",
    "tests/scripts/test_benchmark.py",
    "tests/scripts/test_evaluate_contact_insert.py",
    "tests/scripts/test_setup.py",
    "tests/slurm/test_training.py",
    "tests/test_imports.py",
    "tests/test_run.py",
)
REPOSITORY = Path(__file__).resolve().parent.parent

# The layers on both sides of an LSTM.
RECURRENT = {
    "recurrent": True,
    "actor_fc_layer_params": [16, 8],
    "critic_joint_fc_layer_params": [16, 8],
}
PENDULUM_PARAMS = """
from tf_agents.environments import suite_gym
from tfagents_system.train_params_base import TrainParamsBase


class TrainParams(TrainParamsBase):
    def __init__(self, env_config):
        super().__init__(env_config)
        self.num_steps_per_iter = 10
        self.train_batch_size = 16
        self.actor_fc_layer_params = (16,)
        self.critic_joint_fc_layer_params = (16,)

    def env_ctor(self, seed=None, *args, **kwargs):
        env = suite_gym.load("Pendulum-v1")
        env.seed(seed)
        return env
"""


def pytest_configure(config: pytest.Config) -> None:
    """Makes a temporary folder of this run's own; it goes with all that is in it.

    So does what killed processes leave there. What pytest keeps of failed tests stays
    where it always is.
    """
    if hasattr(config, "workerinput"):  # xdist's processes have it from this one.
        return
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="sac_tests_")
    Path(folder).chmod(0o755)  # Some tests act as another user.
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def pytest_collection_finish() -> None:
    """Ends the imports: all that there is to test is loaded."""
    IMPORTS.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the slow tests, and runs them first: the end waits for none of them."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def tensorflow_has_no_seed() -> None:
    """Lets no test begin with the global seed that one before it set.

    With a seed, two agents built alike are equal and act alike, so that a test could
    pass or fail by the order. The generators of Python and NumPy are pytest-randomly's.
    """
    tf = sys.modules.get("tensorflow")
    if tf is not None:
        tf.random.set_seed(None)


WriteFiles = Callable[..., tuple[Path, Path]]


@pytest.fixture
def write_files(tmp_path: Path) -> WriteFiles:
    """Returns a function that writes a params file and a config; returns both.

    The config has a horizon of 200, and with `horizon=None` none.
    """

    def write(params: str = PENDULUM_PARAMS, **config: Any) -> tuple[Path, Path]:
        params_path = tmp_path / "my_params.py"
        params_path.write_text(textwrap.dedent(params))
        config_path = tmp_path / "my_config.json"
        config = {"horizon": 200, **config}
        if config["horizon"] is None:
            del config["horizon"]
        config_path.write_text(json.dumps(config))
        return params_path, config_path

    return write


@pytest.fixture
def load(write_files: WriteFiles) -> Callable[..., Any]:
    """Returns a function that writes both files and loads the TrainParams."""
    from tfagents_system.settings import configuration, params_file
    from tfagents_system.train_params_base import TrainParamsBase

    def load_params(params: str = PENDULUM_PARAMS, **config: Any) -> Any:
        params_path, config_path = write_files(params, **config)
        return params_file.load_params(
            params_path, configuration.load_config(config_path), TrainParamsBase
        )

    return load_params


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Returns an experiment with an empty directory."""
    experiment = Experiment(tmp_path / "experiment")
    experiment.make()
    return experiment


@pytest.fixture
def run_id() -> str:
    """Returns the id of a run that no other test has, even at the same time."""
    return uuid.uuid4().hex


@pytest.fixture
def free_port() -> int:
    """Returns a TCP port that is free now."""
    from tfagents_system.host import ports

    return ports.choose_port()


@pytest.fixture
def pendulum(load: Callable[..., Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Yields params, standard environment and specs of Pendulum."""
    from tfagents_system.algorithm import specs
    from tfagents_system.environments import hooks

    params = load()
    env = hooks.make_collect_env(params, worker=0, seed=0)
    yield params, env, specs.read_specs(env)
    env.close()


LendAgent = Callable[..., Any]


@pytest.fixture
def lend_agent() -> Iterator[LendAgent]:
    """Yields what builds agents: `lend_agent(params, specs, execution)`."""
    from tests.agents import Lender

    lender = Lender()
    yield lender
    lender.take_back()


@pytest.fixture
def without_saved_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no training export its policies as SavedModels, which takes seconds."""
    from tfagents_system.learning.policy_export import PolicyExporter

    monkeypatch.setattr(PolicyExporter, "export_saved_models", lambda exporter: None)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Yields a SLURM cluster of one node with two CPUs, as long as the tests run."""
    with running_cluster() as cluster:
        yield cluster
