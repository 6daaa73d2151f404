"""What the learner reports, and how it ends, against a real Reverb server."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import LendAgent, WriteFiles
from tests.end_to_end.harness import wait_for
from tests.experiments import make_experiment
from tests.learning.helpers import (
    make_batch,
    make_row,
    read_policy,
    serve,
    write_rows,
)
from tests.processes.door import begin_run, started
from tests.small_disk import filled, small_disk
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.experiment import generations, status_file
from tfagents_system.experiment.status_file import Awaited, LearnerStatus, Phase
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.experiment.stopping import STOP_SIGNAL
from tfagents_system.experiment.summaries import ScalarWriter
from tfagents_system.learning import policy_export
from tfagents_system.learning.build import build_agent, seeded_weights
from tfagents_system.learning.gradient_steps import GradientSteps
from tfagents_system.learning.saver import Saver
from tfagents_system.learning.training_log import TrainingLog
from tfagents_system.learning.training_loop import TrainingLoop
from tfagents_system.processes import learner
from tfagents_system.processes.learner import Reporter

MIN_ROWS = 16


class Reporting:
    """A learner's parts, and the replay server that they talk to."""

    def __init__(
        self, port: int, folder: Path, agent: Any, params: Any, specs: Any
    ) -> None:
        self.experiment = make_experiment(folder)
        self.status = StatusWriter(self.experiment, "learner", LearnerStatus)
        with self.status.edit() as status:
            status.problem = "no checkpoint: a former process's disk was full"
        self.codec = RowCodec(specs)
        self.port = port
        self.server = serve(self.experiment, self.codec, port)
        self.client = replay.connect(port)
        self.agent = agent
        self.publisher = variables.PolicyPublisher(self.agent, self.client, "7ab0")
        self.reporter = Reporter(
            self.experiment, params, self.client, self.publisher, self.status
        )
        self.saver = Saver(
            self.experiment, self.agent, self.client, self.codec, self.status, 0
        )
        writer = ScalarWriter(self.experiment.train_summaries("learner"), self.status)
        self.loop = TrainingLoop(
            params,
            self.agent,
            GradientSteps(self.agent, self.codec),
            self.publisher,
            self.saver,
            TrainingLog(writer, self.reporter.count),
        )

    def restart_server(self) -> None:
        """Stops the replay server and starts one that has lost what it had."""
        self.server.stop()
        self.server = serve(self.experiment, self.codec, self.port)

    def poll_until_answered(self) -> None:
        """Reports until the replay server answers: the client has to connect again."""

        def is_answered() -> bool:
            self.reporter.poll(self.loop)
            return replay.read_replay(self.client) is not None

        wait_for(is_answered, "the replay server", 30)
        self.reporter.poll(self.loop)

    def phase(self) -> tuple[Phase, Awaited | None]:
        """Reports; returns the phase, and what is waited for."""
        self.reporter.poll(self.loop)
        self.reporter.report_phase()
        return self.status.value.phase, self.status.value.waiting_for


@pytest.fixture
def reporting(
    pendulum: tuple[Any, Any, Any],
    lend_agent: LendAgent,
    free_port: int,
    tmp_path: Path,
) -> Iterator[Reporting]:
    """Yields the parts of a learner whose training is 3 iterations of 10 steps."""
    params, _, specs = pendulum
    params.num_steps_per_iter, params.num_iter = 10, 3
    params.n_buffer_init_episodes = 1
    params.env_config["horizon"] = MIN_ROWS
    reporting = Reporting(free_port, tmp_path, lend_agent(params, specs), params, specs)
    yield reporting
    reporting.server.stop()


def test_what_a_former_process_said_is_over(reporting: Reporting) -> None:
    status = reporting.status.value
    assert status.problem == ""
    assert (status.num_iter, status.num_steps_per_iter) == (3, 10)
    assert status.min_rows == MIN_ROWS


def test_counters_are_those_of_the_agent_and_of_the_replay(
    reporting: Reporting,
) -> None:
    write_rows(reporting.port, reporting.codec, [make_row(reporting.codec)] * 24)
    reporting.agent.train_step_counter.assign(25)
    reporting.reporter.poll(reporting.loop)
    status = reporting.status.value
    assert (status.train_step, status.iteration) == (25, 2)
    assert (status.env_steps, status.num_rows) == (24, 24)
    counts = reporting.reporter.count()
    assert (counts.env_steps, counts.num_rows, counts.episodes) == (24, 24, 0)


def test_the_phase_says_what_the_gradient_steps_wait_for(reporting: Reporting) -> None:
    reporting.phase()
    assert reporting.phase() == (Phase.WAITING, Awaited.WARM_UP)
    assert reporting.status.value.describe().endswith(f"(0 of {MIN_ROWS} rows)")
    row = make_row(reporting.codec)
    write_rows(reporting.port, reporting.codec, [row] * MIN_ROWS)
    assert reporting.phase() == (Phase.WAITING, Awaited.EXPERIENCE)
    reporting.agent.train(make_batch(reporting.codec, seed=0))
    assert reporting.phase() == (Phase.TRAINING, None)
    reporting.server.stop()
    assert reporting.phase() == (Phase.WAITING, Awaited.REPLAY_SERVER)
    # It trains on with what was fetched before.
    reporting.agent.train(make_batch(reporting.codec, seed=0))
    assert reporting.phase() == (Phase.TRAINING, None)


def test_a_policy_that_the_replay_server_lost_is_published_again(
    reporting: Reporting,
) -> None:
    reporting.agent.train_step_counter.assign(7)
    reporting.publisher.publish()
    reporting.restart_server()
    # Only what has been published is: the weights may be half a step ahead.
    reporting.agent.train_step_counter.assign(8)
    reporting.poll_until_answered()
    published = read_policy(reporting.client)
    assert published.train_step == 7
    assert reporting.publisher.last is not None
    np.testing.assert_array_equal(published.packed, reporting.publisher.last.packed)


def test_status_is_not_behind_a_checkpoint_completed_during_a_wait(
    reporting: Reporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporting.publisher.publish()
    # The replay server comes back without a policy.
    reporting.restart_server()
    publish = variables.publish

    def train_meanwhile(*args: Any) -> bool:
        reporting.agent.train_step_counter.assign(20)
        reporting.saver.save().result(60)
        return publish(*args)

    monkeypatch.setattr(variables, "publish", train_meanwhile)
    reporting.poll_until_answered()
    (saved,) = generations.list_generations(reporting.experiment)
    assert saved.train_step == 20
    # Not from the file, which is written once a second.
    assert reporting.status.value.train_step == 20


def test_what_was_learned_is_saved_once_the_disk_has_room(
    pendulum: tuple[Any, Any, Any],
    lend_agent: LendAgent,
    free_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learner, "SAVE_RETRY_SECS", 0.2)
    params, _, specs = pendulum
    params.num_steps_per_iter, params.num_iter = 10, 3
    (folder := tmp_path / "disk").mkdir()
    with small_disk(folder, 8) as disk:
        reporting = Reporting(free_port, disk, lend_agent(params, specs), params, specs)
        experiment, status = reporting.experiment, reporting.status.value
        reporting.agent.train(make_batch(reporting.codec, seed=0))
        reporting.agent.train_step_counter.assign(30)
        saving = threading.Thread(
            target=learner._complete,
            args=(experiment, reporting.loop, reporting.saver, reporting.status),
        )
        with filled(disk):
            saving.start()
            wait_for(lambda: status.waiting_for is Awaited.DISK, "the full disk")
            assert "No space left on device" in status.problem
            assert not experiment.done.exists()
        saving.join(100)
        assert not saving.is_alive()
        reporting.server.stop()
        assert experiment.is_trained_for(30)
        (saved,) = generations.list_generations(experiment)
        assert saved.train_step == 30
        assert (experiment.policies / "greedy_policy").is_dir()
        assert (status.phase, status.problem) == (Phase.FINISHED, "")


def test_a_replay_server_that_is_stopped_holds_nobody(
    write_files: WriteFiles,
    pendulum: tuple[Any, Any, Any],
    free_port: int,
    tmp_path: Path,
) -> None:
    files = write_files(horizon=MIN_ROWS, train_params={"n_buffer_init_episodes": 1})
    experiment = begin_run(tmp_path, files, pendulum[2], free_port)
    exp_dir = f"--exp_dir={experiment.root}"

    def status() -> LearnerStatus:
        return status_file.read_learner(experiment)

    with (
        started(tmp_path / "server", "replay_server", exp_dir) as server,
        started(tmp_path / "learner", "learner", exp_dir) as process,
    ):
        wait_for(lambda: status().waiting_for is Awaited.WARM_UP, "the learner")
        codec = RowCodec(pendulum[2])
        write_rows(free_port, codec, [make_row(codec)] * 2 * MIN_ROWS)
        wait_for(lambda: status().train_step > 0, "gradient steps", 300)
        wait_for(lambda: status().waiting_for is Awaited.EXPERIENCE, "the learner")
        server.send_signal(signal.SIGSTOP)
        wait_for(lambda: status().waiting_for is Awaited.REPLAY_SERVER, "the learner")
        server.send_signal(signal.SIGCONT)
        wait_for(lambda: status().waiting_for is Awaited.EXPERIENCE, "the learner")
        server.send_signal(signal.SIGSTOP)
        wait_for(lambda: status().waiting_for is Awaited.REPLAY_SERVER, "the learner")
        process.send_signal(STOP_SIGNAL)
        assert process.wait(60) == 0
    assert status().phase is Phase.STOPPED
    assert status().train_step > 0
    assert status().problem.startswith("no checkpoint: NoAnswer: the replay server")


def test_a_loss_that_is_not_finite_ends_the_process_and_is_its_failure(
    write_files: WriteFiles,
    pendulum: tuple[Any, Any, Any],
    free_port: int,
    tmp_path: Path,
) -> None:
    experiment = begin_run(tmp_path, write_files(), pendulum[2], free_port)
    codec = RowCodec(pendulum[2])
    server = serve(experiment, codec, free_port)
    folder = tmp_path / "learner"
    try:
        write_rows(free_port, codec, [make_row(codec, reward=np.nan)] * 32)
        with started(folder, "learner", f"--exp_dir={experiment.root}") as process:
            _, errors = process.communicate(timeout=100)
        published = read_policy(replay.connect(free_port))
    finally:
        server.stop()
    assert process.returncode == 2
    last_line = errors.splitlines()[-1]
    # TensorFlow may count a step before it finds that.
    assert re.match(r"error: Critic loss is inf or nan at train step [01]; ", last_line)
    assert "Traceback" not in errors
    assert int((folder / "num_failures").read_text()) == 1
    status = status_file.read_learner(experiment)
    assert status.phase is Phase.FAILED
    assert last_line == f"error: {status.failure}"
    assert generations.list_generations(experiment) == []
    assert policy_export.list_checkpoints(experiment) == []
    assert published.train_step == 0
    # Its initial weights follow from the seed.
    with seeded_weights(pendulum[0].seed):
        agent = build_agent(pendulum[0], pendulum[2])
    expected = variables.policy_variables(agent).read()
    np.testing.assert_array_equal(published.packed, expected)
