"""Acting in the training environment, an env step at a time."""

from __future__ import annotations

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting.episode import Episode, EpisodeResult, Watcher
from tfagents_system.acting.policies import Policy
from tfagents_system.environments.standard import seed_episode
from tfagents_system.one_process.ring_buffer import RingBuffer
from tfagents_system.settings.curriculum import Curriculum


class Collector:
    """Takes env steps, one at a time, and adds them to the replay.

    Attributes:
      curriculum: The environment's.
      num_episodes: Episodes begun; each has its own seed.
    """

    def __init__(
        self,
        env: py_environment.PyEnvironment,
        curriculum: Curriculum,
        buffer: RingBuffer,
        watchers: list[Watcher],
        seed: int,
    ) -> None:
        """Begins no episode yet.

        Args:
          env: The environment.
          curriculum: Its curriculum.
          buffer: The replay.
          watchers: Of the user's observers.
          seed: The seed of an episode follows from it and from the episode's number.
        """
        self._env, self._buffer = env, buffer
        self._watchers, self._seed = watchers, seed
        self.curriculum = curriculum
        self.num_episodes = 0
        self._episode: Episode | None = None

    @property
    def is_between_episodes(self) -> bool:
        """Whether `begin_episode` must come before the next `step`."""
        return self._episode is None

    def begin_episode(
        self, policy: Policy, iteration: int, rng: np.random.Generator
    ) -> None:
        """Resets environment and policy, after what the curriculum sets.

        Args:
          policy: Acts in the episode.
          iteration: The iteration of the curriculum.
          rng: Draws its values.
        """
        self.curriculum.apply(iteration, rng)
        seed_episode(self._env, self._seed, self.num_episodes)
        self.num_episodes += 1
        policy.reset()
        self._episode = Episode(self._env)

    def step(self, policy: Policy, is_cut: bool = False) -> EpisodeResult | None:
        """Takes an env step.

        Args:
          policy: Acts.
          is_cut: Whether the episode is cut off here, as by a time limit.

        Returns:
          The episode's result if the environment has ended it, otherwise None.
        """
        episode = self._episode
        assert episode is not None, "begin_episode comes first"
        transition = episode.step(policy)
        if is_cut and not episode.is_over:
            last = transition.next_time_step._replace(step_type=ts.StepType.LAST)
            transition = transition._replace(next_time_step=last)
        self._buffer.add(*transition)
        for watch in self._watchers:
            watch(*transition)
        if is_cut or episode.is_over:
            self._episode = None
        return episode.result() if episode.is_over else None
