"""A collect worker in this process, against a real Reverb server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import reverb
import tensorflow as tf
from gym.envs.classic_control import PendulumEnv
from tf_agents.environments import suite_gym

from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.algorithm.specs import Specs, read_specs
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments.standard import StandardEnvironment
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import CollectWorkerStatus, Phase
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.learning.build import build_agent
from tfagents_system.processes import collect_worker

NAME = "collect_worker_0"
# Holds no worker of these tests.
UNPACED = Pacing(
    capacity=1000, min_size=1000, samples_per_insert=1.0, slack_samples=1000.0
)


class Replay:
    """A replay server with a policy, and a worker that uses both."""

    def __init__(
        self, port: int, specs: Specs, params: Any, folder: Path, pacing: Pacing
    ) -> None:
        """Starts the server and publishes a policy that has taken one step."""
        self.experiment = Experiment(folder / "experiment")
        self.experiment.root.mkdir()
        specs.save(self.experiment.specs)
        self.status = StatusWriter(self.experiment, NAME, CollectWorkerStatus)
        self._port = port
        self._params = params
        self.server = reverb.Server(
            replay.make_tables(RowCodec(specs), pacing),
            port=port,
            checkpointer=reverb.checkpointers.DefaultCheckpointer(str(folder)),
        )
        self.client = replay.connect(port)
        self.agent = build_agent(params, specs)
        self.publish(1)

    def publish(self, train_step: int) -> None:
        """Publishes the agent's policy as if it had taken that many steps."""
        packed = variables.policy_variables(self.agent).read()
        variables.publish(self.client, variables.PublishedPolicy(train_step, packed))

    def run_worker(self, env: Any, eval_env: Any) -> None:
        """Runs a worker until the policy has taken all steps of the training."""
        generator = np.random.default_rng(0)
        worker = collect_worker.make_worker(
            self.experiment,
            self._params,
            (env, eval_env),
            generator,
            self._port,
            self.status,
            NAME,
        )
        worker.run(RandomPolicy(env.action_spec(), generator), generator)


@pytest.fixture
def serve(free_port: int, tmp_path: Path) -> Iterator[Callable[..., Replay]]:
    """Yields a function that starts the replay server of some params."""
    served: list[Replay] = []

    def start(params: Any, specs: Specs, pacing: Pacing = UNPACED) -> Replay:
        served.append(Replay(free_port, specs, params, tmp_path, pacing))
        return served[0]

    yield start
    for each in served:
        each.server.stop()


def test_a_new_policy_is_taken_over_within_an_episode(
    pendulum: tuple[Any, Any, Any],
    serve: Callable[..., Replay],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(variables, "PULL_PERIOD_SECS", 0.0)
    params, env, specs = pendulum
    params.eval_period_itrs = params.num_iter
    params.n_eval_episodes = 1
    last_step = params.total_train_steps
    served = serve(params, specs)
    # The mean is far beyond tanh's range: the newer policy always acts with the bound.
    for variable in served.agent.collect_policy.variables():
        value = 50.0 if "bias" in variable.name else 0.0
        variable.assign(tf.fill(variable.shape, value))
    actions: list[float] = []

    def watch(transition: Any) -> None:
        actions.append(transition[1].action.item())
        if len(actions) == 50:
            served.publish(last_step)

    monkeypatch.setattr(
        params, "train_observers_ctor", lambda port: ({}, {"mine": watch}, {})
    )
    served.run_worker(env, env)
    assert len(actions) == 200
    assert min(actions[:50]) < 1.9
    assert actions[51:] == [2.0] * 149
    status = served.status.value
    assert status.phase is Phase.FINISHED
    assert status.policy_train_step == last_step
    assert status.worker_env_steps == 200
    # The final policy is evaluated, though it came within an episode.
    assert status.eval_train_step == last_step


def test_a_worker_that_waits_for_room_gives_up_when_training_is_done(
    pendulum: tuple[Any, Any, Any],
    serve: Callable[..., Replay],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(variables, "PULL_PERIOD_SECS", 1000.0)
    params, env, specs = pendulum
    params.n_eval_episodes = 1
    # Nobody samples, so an episode does not fit.
    served = serve(params, specs, Pacing(1000, 8, 1.0, 16.0))

    def complete_training(transition: Any) -> None:
        if transition[0].is_first():
            served.publish(params.total_train_steps)
            served.experiment.mark_done(params.total_train_steps)

    monkeypatch.setattr(
        params,
        "train_observers_ctor",
        lambda port: ({}, {"mine": complete_training}, {}),
    )
    served.run_worker(env, env)
    status = served.status.value
    assert status.phase is Phase.FINISHED
    assert 0 < status.worker_env_steps <= 200
    assert status.worker_episodes == 0
    assert status.eval_train_step == params.total_train_steps


class RecordingPendulum(PendulumEnv):
    """Writes down when it is reset and what state it is set to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def reset(self, **kwargs: Any) -> Any:
        self.calls.append("reset")
        return super().reset(**kwargs)

    def set_state(self, state: dict[str, Any]) -> None:
        self.calls.append(state)


def written_scalars(folder: Path, tag: str) -> list[float]:
    """Returns the values of a tag in a folder of event files."""
    values = []
    for path in sorted(folder.glob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == tag:
                    values.append(tf.make_ndarray(value.tensor).item())
    return values


def test_curriculum_is_set_before_an_episode_in_one_call_and_is_reported(
    load: Callable[..., Any], serve: Callable[..., Replay]
) -> None:
    params = load(
        horizon=10,
        curriculum={
            "mass": {"iters": [0, 2], "range": [1.0, 3.0]},
            "friction": {"iters": [3, 2], "range": [5, 9]},
            "noise": {
                "iters": [0, 1, 2],
                "range": [0.0, 2.0],
                "distribution": "uniform",
            },
        },
        train_params={"num_iter": 4, "eval_period_itrs": 1, "n_eval_episodes": 1},
    )
    train, evaluation = RecordingPendulum(), RecordingPendulum()
    env, eval_env = (
        StandardEnvironment(suite_gym.wrap_env(pendulum), horizon=10)
        for pendulum in (train, evaluation)
    )
    specs = read_specs(env)
    served = serve(params, specs)
    num_steps = 0

    def one_iteration_for_each_episode(transition: Any) -> None:
        nonlocal num_steps
        num_steps += 1
        if num_steps % 10 == 0:
            served.publish(num_steps)

    params.train_observers_ctor = lambda port: (
        {},
        {"mine": one_iteration_for_each_episode},
        {},
    )
    train.calls.clear()
    served.run_worker(env, eval_env)
    assert evaluation.calls.count("reset") >= 4
    assert set(map(str, evaluation.calls)) == {"reset"}
    states = train.calls[::2]
    assert train.calls[1::2] == ["reset"] * 4
    noise = [state.pop("noise") for state in states]
    assert states == [{"mass": 1.0}, {}, {"mass": 3.0, "friction": 5}, {"friction": 9}]
    assert noise[0] == 0.0
    assert 0.0 < noise[1] < 1.0
    assert all(0.0 < value < 2.0 for value in noise[2:])
    assert len(set(noise)) == 4

    in_force = {"mass": 3.0, "friction": 9, "noise": noise[-1]}
    assert served.status.value.curriculum == in_force
    folder = served.experiment.train_summaries(NAME)
    assert written_scalars(folder, "Curriculum/mass") == [1.0, 1.0, 3.0, 3.0]
    assert written_scalars(folder, "Curriculum_vs_env_step/friction") == [5.0, 9.0]
    assert written_scalars(folder, "Curriculum/noise") == pytest.approx(noise)
