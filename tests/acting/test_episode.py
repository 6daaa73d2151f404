"""One episode, step by step and as a whole."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf

from tfagents_system.acting.episode import Episode, Transition, run_episode
from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.environments import hooks


def random_policy(env: Any) -> RandomPolicy:
    """Returns a policy that draws the same actions each time."""
    return RandomPolicy(env.action_spec(), np.random.default_rng(0))


def test_episode_counts_its_steps_and_adds_up_its_rewards(
    pendulum: tuple[Any, Any, Any],
) -> None:
    env = pendulum[1]
    policy = random_policy(env)
    episode = Episode(env)
    transitions: list[Transition] = []
    while not episode.is_over:
        transitions.append(episode.step(policy))
    assert len(transitions) == 200  # The horizon.
    assert transitions[0].time_step.is_first()
    assert transitions[-1].next_time_step.is_last()
    for before, after in zip(transitions, transitions[1:]):
        assert after.time_step is before.next_time_step
        assert after.time_step.is_mid()
    result = episode.result()
    rewards = [float(t.next_time_step.reward) for t in transitions]
    assert (result.length, result.episode_return) == (200, sum(rewards))
    assert result.is_success is None
    # Another episode begins from nothing.
    episode = Episode(env)
    assert not episode.is_over
    assert (episode.result().length, episode.result().episode_return) == (0, 0.0)


def test_whole_episode_is_that_of_its_steps(load: Callable[..., Any]) -> None:
    params = load(horizon=50)
    one, other = (hooks.make_collect_env(params, worker=0, seed=3) for _ in range(2))
    watched: list[Transition] = []
    result = run_episode(
        one, random_policy(one), [lambda *parts: watched.append(Transition(*parts))]
    )
    policy = random_policy(other)
    episode = Episode(other)
    stepped: list[Transition] = []
    while not episode.is_over:
        stepped.append(episode.step(policy))
    assert result == episode.result()
    assert len(watched) == len(stepped) == result.length == 50
    tf.nest.map_structure(np.testing.assert_array_equal, watched, stepped)
    one.close()
    other.close()


def test_order_of_an_episode(load: Callable[..., Any]) -> None:
    env = hooks.make_collect_env(load(horizon=2), worker=0, seed=0)
    tape: list[str] = []

    class Recorded(RandomPolicy):
        """Writes its calls on the tape."""

        def reset(self) -> None:
            tape.append("policy reset")

        def act(self, time_step: Any) -> Any:
            tape.append("act")
            return super().act(time_step)

    def on_reset() -> None:
        assert env.current_time_step().is_first()
        tape.append("environment reset")

    policy = Recorded(env.action_spec(), np.random.default_rng(0))
    watchers = [lambda *_: tape.append("first"), lambda *_: tape.append("second")]
    for _ in range(2):
        run_episode(env, policy, watchers, on_reset)
    step = ["act", "first", "second"]
    assert tape == 2 * ["policy reset", "environment reset", *step, *step]
    env.close()
