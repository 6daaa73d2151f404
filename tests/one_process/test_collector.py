"""Acting in the training environment, an env step at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tf_agents.environments import suite_gym

from tests.environments.toy_envs import CountingEnv, make_env
from tfagents_system.acting.episode import Transition
from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.algorithm.specs import read_specs
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.environments import hooks
from tfagents_system.one_process.collector import Collector
from tfagents_system.one_process.ring_buffer import RingBuffer
from tfagents_system.settings.curriculum import Curriculum

CURRICULUM = {"curriculum": {"mass": {"iters": [0, 10], "range": [2.0, 3.0]}}}


class ResettingPolicy(RandomPolicy):
    """Counts its resets."""

    num_resets = 0

    def reset(self) -> None:
        self.num_resets += 1


class Collecting:
    """A collector in an environment, and what goes in and out of it."""

    def __init__(self, env: Any, config: dict[str, Any], seed: int = 0) -> None:
        self.env = env
        self.rng = np.random.default_rng(0)
        self.policy = ResettingPolicy(env.action_spec(), self.rng)
        self.codec = RowCodec(read_specs(env))
        self.buffer = RingBuffer(self.codec, 100)
        self.watched: list[Transition] = []
        self.collector = Collector(
            env,
            Curriculum(config, env),
            self.buffer,
            [lambda *step: self.watched.append(Transition(*step))],
            seed,
        )

    def begin_episode(self, iteration: int = 0) -> None:
        """Begins an episode."""
        self.collector.begin_episode(self.policy, iteration, self.rng)

    def rows(self) -> NDArray[Any]:
        """Returns the rows in the buffer."""
        (rows,) = self.buffer.read(self.buffer.first, self.buffer.num_added)
        return rows


@pytest.fixture
def counting() -> Collecting:
    """Returns a collector in an environment that ends after three steps."""
    return Collecting(make_env(lambda: CountingEnv(terminal_at=3)), CURRICULUM)


def test_an_episode_is_added_step_by_step_and_its_result_comes_last(
    counting: Collecting,
) -> None:
    collector = counting.collector
    assert collector.is_between_episodes
    counting.begin_episode()
    assert counting.policy.num_resets == 1
    for number in (1, 2):
        assert collector.step(counting.policy) is None
        assert not collector.is_between_episodes
        assert counting.buffer.num_added == len(counting.watched) == number
    result = collector.step(counting.policy)
    assert result is not None
    assert (result.episode_return, result.length) == (3.0, 3)
    assert collector.is_between_episodes
    assert collector.num_episodes == 1
    # Observation, action, reward, discount, next observation.
    rows = counting.rows()
    assert rows[:, 0].tolist() == [0.0, 1.0, 2.0]
    actions = [transition.action[0] for transition in counting.watched]
    assert rows[:, 2].tolist() == actions
    assert rows[:, 3].tolist() == [1.0, 1.0, 1.0]
    assert rows[:, 4].tolist() == [1.0, 1.0, 0.0]
    assert rows[:, 5].tolist() == [1.0, 2.0, 3.0]


def test_an_episode_that_is_cut_ends_as_at_a_time_limit(counting: Collecting) -> None:
    counting.begin_episode()
    assert counting.collector.step(counting.policy, is_cut=True) is None
    assert counting.collector.is_between_episodes
    assert counting.watched[-1].next_time_step.is_last()
    assert counting.rows()[:, 4].tolist() == [1.0]  # No terminal state.
    counting.begin_episode()
    for _ in range(2):
        counting.collector.step(counting.policy)
    # Where the environment ends it in the same step, that counts.
    result = counting.collector.step(counting.policy, is_cut=True)
    assert result is not None
    assert result.length == 3
    assert counting.rows()[:, 4].tolist() == [1.0, 1.0, 1.0, 0.0]


def test_the_curriculum_is_applied_before_each_episode(counting: Collecting) -> None:
    for iteration, mass in ((0, 2.0), (10, 3.0)):
        counting.begin_episode(iteration)
        assert hooks.unwrap(counting.env).state == {"mass": mass}
        assert counting.collector.curriculum.values == {"mass": mass}


def test_each_episode_follows_from_seed_and_number() -> None:
    def first_observations(seed: int, begin_at: int = 0) -> list[float]:
        env = make_env(lambda: suite_gym.load("Pendulum-v1"))
        collecting = Collecting(env, {}, seed)
        collecting.collector.num_episodes = begin_at
        for _ in range(begin_at, 3):
            collecting.begin_episode()
            collecting.collector.step(collecting.policy, is_cut=True)
        return [float(row) for row in collecting.rows()[:, 0]]

    three = first_observations(seed=0)
    assert len(set(three)) == 3
    # As after a resume.
    assert first_observations(seed=0, begin_at=2) == three[2:]
    assert not set(first_observations(seed=1)) & set(three)
