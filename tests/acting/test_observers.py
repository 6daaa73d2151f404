"""The user's observers of an episode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tf_agents.metrics import py_metrics

from tfagents_system.acting import observers
from tfagents_system.acting.episode import run_episode
from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.errors import UserError
from tfagents_system.train_params_base import TrainParamsBase


def test_users_observers_see_every_step_in_tf_agents_types(
    pendulum: tuple[Any, Any, Any],
) -> None:
    env = pendulum[1]
    policy = RandomPolicy(env.action_spec(), np.random.default_rng(0))
    transitions: list[Any] = []
    users_metrics = {
        "reward": py_metrics.AverageReturnMetric(buffer_size=1),
        "length": py_metrics.AverageEpisodeLengthMetric(buffer_size=1),
        "episodes": py_metrics.NumberOfEpisodes(),
        "steps": py_metrics.EnvironmentSteps(),
    }
    trajectories: list[Any] = []
    watchers = observers.make_watchers(
        (
            {"mine": trajectories.append},
            {"also_mine": transitions.append},
            users_metrics,
        )
    )
    results = [run_episode(env, policy, watchers) for _ in range(2)]
    read = observers.read_results(({}, {"not_a_metric": print}, users_metrics))
    assert read["Metrics/reward"] == pytest.approx(results[1].episode_return, rel=1e-5)
    assert read["Metrics/length"] == results[1].length == 200
    assert read["Metrics/episodes"] == 2
    assert read["Metrics/steps"] == 400
    # As TF-Agents' drivers do: a boundary follows each last step.
    assert len(trajectories) == 2 * 201
    assert trajectories[200].is_boundary()
    assert len(transitions) == 400
    time_step, step, next_time_step = transitions[199]
    assert next_time_step.is_last()
    assert step.action.shape == (1,)
    assert not time_step.is_last()


def test_no_observers_cost_nothing() -> None:
    assert observers.make_watchers(({}, {}, {})) == []


class Result:
    """An observer with a result."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, transition: Any) -> None:
        """Ignores what it observes."""

    def result(self) -> Any:
        return self.value

    def reset(self) -> None:
        self.value = 0.0


def test_results_are_the_scalars_of_metrics_and_of_transition_observers() -> None:
    users = (
        {"observer": Result(1.0)},
        {"transition": Result(np.array([2.0])), "vector": Result(np.zeros(2))},
        {"metric": Result(np.float32(3.0))},
    )
    assert observers.read_results(users) == {
        "Metrics/transition": 2.0,
        "Metrics/metric": 3.0,
    }


def test_those_that_can_be_are_reset() -> None:
    kept = [Result(float(value)) for value in range(1, 4)]
    users = (
        {"callable": print, "observer": kept[0]},
        {"transition": kept[1]},
        {"metric": kept[2]},
    )
    observers.reset(users)
    assert [observer.value for observer in kept] == [0.0, 0.0, 0.0]


class Params(TrainParamsBase):
    """What a params file's class has of the base class."""

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Builds nothing: the tests have an environment."""


def run_one(env: Any, watchers: list[Any]) -> Any:
    """Runs an episode with random actions."""
    policy = RandomPolicy(env.action_spec(), np.random.default_rng(0))
    return run_episode(env, policy, watchers)


def test_the_base_class_returns_what_archived_params_files_look_for(
    pendulum: tuple[Any, Any, Any],
) -> None:
    params = Params({"horizon": 200})
    train = params.train_observers_ctor(8000, collect_only=False)
    evaluation = params.eval_observers_ctor()
    assert [set(group) for group in train] == [
        {"replay_buffer", "steps_written"},
        set(),
        {"reward", "episode_length", "steps", "episodes"},
    ]
    assert [set(g) for g in evaluation] == [
        set(),
        set(),
        {"reward", "episode_length", "env_steps"},
    ]
    assert [len(g) for g in params.train_observers_ctor(8000, True)] == [2, 0, 0]
    # Nobody asked for them: they cost nothing.
    assert observers.make_watchers(train, params.replay_observer) == []
    assert observers.make_watchers(evaluation) == []
    assert observers.read_results(train) == {}
    train[0]["replay_buffer"].flush()
    train[0]["replay_buffer"].close()


def test_the_base_class_metrics_are_right_where_a_params_file_reads_them(
    pendulum: tuple[Any, Any, Any],
) -> None:
    params = Params({"horizon": 200})
    by_trajectory, by_transition, metrics = params.train_observers_ctor(8000)
    theirs = {
        "reward": py_metrics.AverageReturnMetric(),
        "episode_length": py_metrics.AverageEpisodeLengthMetric(),
        "steps": py_metrics.EnvironmentSteps(),
        "episodes": py_metrics.NumberOfEpisodes(),
    }
    users = {f"my_{name}": metric for name, metric in theirs.items()}
    groups = (by_trajectory, by_transition, {**metrics, **users})
    watchers = observers.make_watchers(groups, params.replay_observer)
    for _ in range(2):
        run_one(pendulum[1], watchers)
    for name, metric in theirs.items():
        assert metrics[name].result() == pytest.approx(float(metric.result()), rel=1e-5)
        assert metrics[name].name == metric.name
    assert by_trajectory["steps_written"].result() == 400
    assert set(observers.read_results(groups)) == {f"Metrics/{n}" for n in users}
    observers.reset(groups)
    assert [metric.result() for metric in metrics.values()] == [0, 0, 0, 0]


def test_the_observer_of_the_replay_may_be_wrapped_but_not_to_change_what_is_trained_on(
    pendulum: tuple[Any, Any, Any],
) -> None:
    params = Params({"horizon": 200})
    base = params.train_observers_ctor(8000)[0]["replay_buffer"]
    seen: list[Any] = []

    def run(observer: Any) -> None:
        groups: Any = ({"replay_buffer": observer}, {}, {})
        run_one(pendulum[1], observers.make_watchers(groups, params.replay_observer))

    def count(step: Any) -> None:
        seen.append(step)
        base(step)

    run(count)
    assert len(seen) == 201
    for changes_it in (
        print,
        lambda step: base(step._replace(reward=step.reward * 10)),
        lambda step: None if step.reward < 0 else base(step),
    ):
        with pytest.raises(UserError, match=r"replay_buffer.*drops or changes"):
            run(changes_it)
    # Without the base class's, too: nothing would tell it from a writer of its own.
    with pytest.raises(UserError, match="replay_buffer"):
        run_one(
            pendulum[1], observers.make_watchers(({"replay_buffer": print}, {}, {}))
        )


def test_leaving_out_the_observer_of_the_replay_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    params = Params({"horizon": 200})
    groups = params.train_observers_ctor(8000)
    del groups[0]["replay_buffer"]
    with caplog.at_level("INFO"):
        assert observers.make_watchers(groups, params.replay_observer) == []
    assert "reach the replay without it" in caplog.text
