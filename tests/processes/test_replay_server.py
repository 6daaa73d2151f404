"""The replay server: what it serves when it starts, what it says, how it ends."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LendAgent, WriteFiles
from tests.end_to_end.harness import wait_for
from tests.learning.helpers import make_batch, make_row, write_rows
from tests.processes.door import begin_run, started, unpack_written_before
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.deadline import Line
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import NotSaved
from tfagents_system.experiment import generations, status_file
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.run_file import Run
from tfagents_system.experiment.status_file import Phase
from tfagents_system.experiment.stopping import STOP_SIGNAL
from tfagents_system.learning import checkpoint
from tfagents_system.learning.agent_state import AgentWriter


def wait_until_serving(experiment: Experiment) -> None:
    """Waits until the replay server says that it serves."""
    wait_for(
        lambda: status_file.read_replay_server(experiment).phase is Phase.SERVING,
        "the replay server",
        60,
    )


def test_it_counts_what_it_takes_and_ends_at_once_when_stopped(
    write_files: WriteFiles,
    pendulum: tuple[Any, Any, Any],
    free_port: int,
    tmp_path: Path,
) -> None:
    experiment = begin_run(tmp_path, write_files(), pendulum[2], free_port)
    codec = RowCodec(pendulum[2])
    folder = tmp_path / "replay_server"
    with started(folder, "replay_server", f"--exp_dir={experiment.root}") as server:
        wait_until_serving(experiment)
        status = status_file.read_replay_server(experiment)
        assert (status.pid, status.env_steps) == (server.pid, 0)
        write_rows(free_port, codec, [make_row(codec)] * 16)
        wait_for(
            lambda: status_file.read_replay_server(experiment).env_steps == 16,
            "the rows to be counted",
            20,
        )
        info = replay.read_replay(replay.connect(free_port))
        assert info is not None
        assert (info.num_rows, info.has_policy) == (16, False)
        server.send_signal(signal.SIGTERM)  # As SLURM does it, to all of a job.
        server.send_signal(STOP_SIGNAL)
        assert server.wait(10) == 0
    status = status_file.read_replay_server(experiment)
    assert status.phase is Phase.STOPPED
    assert (status.env_steps, status.num_rows) == (16, 16)
    assert not (folder / "num_failures").exists()


def test_it_comes_back_with_the_newest_joint_checkpoint(
    free_port: int, tmp_path: Path
) -> None:
    experiment = Experiment(tmp_path / "experiment")
    unpack_written_before(experiment)
    Run(free_port, str(tmp_path), services=()).save(experiment)
    (generation,) = generations.list_generations(experiment)
    folder = tmp_path / "replay_server"
    with started(folder, "replay_server", f"--exp_dir={experiment.root}"):
        wait_until_serving(experiment)
        status = status_file.read_replay_server(experiment)
        client = replay.connect(free_port)
        info = replay.read_replay(client)
        policy = variables.PolicyPuller(client, Line(), "7ab0", 1).pull()
    assert status.env_steps == generation.env_steps == 7856
    assert info is not None
    assert (info.num_inserts, info.num_rows) == (7856, 600)
    # The policy of then is not of this run: the workers wait for the learner's.
    assert info.has_policy
    assert policy is None


def test_a_taken_port_is_one_line(
    write_files: WriteFiles, pendulum: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    experiment = begin_run(tmp_path, write_files(), pendulum[2], port=1)
    folder = tmp_path / "replay_server"
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        Run(port, str(tmp_path), services=()).save(experiment)
        arguments = ("replay_server", f"--exp_dir={experiment.root}")
        with started(folder, *arguments) as server:
            _, errors = server.communicate(timeout=60)
    assert server.returncode == 2
    assert errors.splitlines()[-1].startswith(f"error: port {port} is taken")
    assert "Traceback" not in errors
    assert int((folder / "num_failures").read_text()) == 1


def test_a_checkpoint_that_it_does_not_get_on_with_is_given_up(
    write_files: WriteFiles,
    pendulum: tuple[Any, Any, Any],
    lend_agent: LendAgent,
    free_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params, _, specs = pendulum
    experiment = begin_run(tmp_path, write_files(), specs, free_port)
    codec, agent = RowCodec(specs), lend_agent(params, specs)
    client, line, writer = replay.connect(free_port), Line(1.0), AgentWriter(agent)
    agent.train(make_batch(codec, seed=0))

    def save() -> generations.Generation:
        train_step = checkpoint.write_learner(experiment, agent, writer)
        assert train_step is not None
        return checkpoint.complete(experiment, train_step, client, line, codec)

    folder = tmp_path / "replay_server"
    with started(folder, "replay_server", f"--exp_dir={experiment.root}") as server:
        wait_until_serving(experiment)
        write_rows(free_port, codec, [make_row(codec)] * 16)
        answer = replay.read_replay(client)
        with monkeypatch.context() as patch:
            # It is stopped just after it has answered.
            patch.setattr(replay, "read_replay", lambda client: answer)
            server.send_signal(signal.SIGSTOP)
            with pytest.raises(NotSaved, match="no answer for 1 s while it writes"):
                save()
        server.send_signal(signal.SIGCONT)
        generation = save()
    with generations.locked(experiment):
        assert generations.newest_intact(experiment) == generation
