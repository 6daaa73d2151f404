"""A collect worker in this process, against a real Reverb server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import reverb
import tensorflow as tf
from gym.envs.classic_control import PendulumEnv
from tf_agents.environments import suite_gym

from tfagents_system.algorithm import sac
from tfagents_system.algorithm.specs import Specs, read_specs
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments import standard
from tfagents_system.experiment.directory import Experiment
from tfagents_system.processes import collect_worker, startup

NAME = "collect_worker_0"


class Replay:
    """A replay server with a policy, and a worker that uses both."""

    def __init__(self, port: int, specs: Specs, params: Any, folder: Path) -> None:
        """Starts the server and publishes a policy that has taken one step."""
        self.experiment = Experiment(folder / "experiment")
        self.status = startup.Status(self.experiment, NAME)
        self.port = port
        self._specs = specs
        self._params = params
        self._codec = RowCodec(specs)
        self.server = reverb.Server(
            replay.make_tables(self._codec, Pacing(1000, 1000, 1.0, 1000.0)),
            port=port,
            checkpointer=reverb.checkpointers.DefaultCheckpointer(str(folder)),
        )
        self._client = replay.connect(port)
        self._publisher = variables.PolicyPublisher(self._client)
        self.agent = sac.build_agent(params, specs)
        self.publish(1)

    def publish(self, train_step: int) -> None:
        """Publishes the agent's policy as if it had taken that many steps."""
        packed = variables.policy_variables(self.agent).read()
        self._publisher.publish(variables.PublishedPolicy(train_step, packed))

    def run_worker(self, env: Any, eval_env: Any) -> None:
        """Runs a worker until the policy has taken all steps of the training."""
        collect_worker.CollectWorker(
            NAME,
            0,
            self.experiment,
            self._params,
            sac.build_agent(self._params, self._specs),
            (env, eval_env),
            self._codec,
            self._client,
            self.port,
            0,
            self.status,
        ).run()


@pytest.fixture
def serve(free_port: int, tmp_path: Path) -> Iterator[Callable[..., Replay]]:
    """Yields a function that starts the replay server of some params."""
    served: list[Replay] = []

    def start(params: Any, specs: Specs) -> Replay:
        served.append(Replay(free_port, specs, params, tmp_path))
        return served[0]

    yield start
    for each in served:
        each.server.stop()


def test_a_new_policy_is_taken_over_within_an_episode(
    pendulum: tuple[Any, Any, Any],
    serve: Callable[..., Replay],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collect_worker, "PULL_PERIOD_SECS", 0.0)
    params, env, specs = pendulum
    params.eval_period_itrs = params.num_iter
    params.n_eval_episodes = 1
    last_step = params.num_iter * params.num_steps_per_iter
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
    assert served.status.get("policy_train_step") == last_step
    # The final policy is evaluated, though it came within an episode.
    assert served.status.get("eval_train_step") == last_step


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
        standard.StandardEnvironment(suite_gym.wrap_env(pendulum), horizon=10)
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
    assert served.status.get("curriculum") == in_force
    folder = served.experiment.train_summaries(NAME)
    assert written_scalars(folder, "Curriculum/mass") == [1.0, 1.0, 3.0, 3.0]
    assert written_scalars(folder, "Curriculum_vs_env_step/friction") == [5.0, 9.0]
    assert written_scalars(folder, "Curriculum/noise") == pytest.approx(noise)
