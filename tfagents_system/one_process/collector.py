"""Acting in the training environment, an env step at a time."""

from __future__ import annotations

from typing import Callable

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting import episode
from tfagents_system.dataflow.n_step import NStepWriter
from tfagents_system.environments import standard, success
from tfagents_system.settings.curriculum import Curriculum
from tfagents_system.train_params_base import Observers, TrainParamsBase


class Collector:
    """Takes env steps, one at a time, with whatever comes between them.

    Attributes:
      curriculum: The environment's.
      num_episodes: Episodes begun; each has its own seed.
    """

    def __init__(
        self,
        params: TrainParamsBase,
        env: py_environment.PyEnvironment,
        policy: episode.Policy,
        observers: Observers,
        add_step: Callable[..., None],
        rng: np.random.Generator,
        seed: int,
    ) -> None:
        """Begins no episode yet.

        Args:
          params: The user's hyperparameters.
          env: The environment.
          policy: Acts, but for random actions.
          observers: The user's.
          add_step: Called with what `NStepWriter` passes on.
          rng: Draws random actions and the curriculum's values.
          seed: That of an episode follows from it and from the episode's number.
        """
        self._env, self._policy = env, policy
        self.curriculum = Curriculum(params.env_config, env)
        steps = NStepWriter(params.n_step_returns, params.discount, add_step)
        self._watchers = (steps.add, *episode.user_watchers(observers))
        self._rng, self._seed = rng, seed
        self.num_episodes = 0
        self._time_step: ts.TimeStep | None = None
        self._return, self._length = 0.0, 0

    @property
    def is_between_episodes(self) -> bool:
        """Whether `begin_episode` must come before the next `step`."""
        return self._time_step is None

    def begin_episode(self, iteration: int) -> None:
        """Resets the environment, after what the curriculum wants at an iteration."""
        self.curriculum.apply(iteration, self._rng)
        standard.seed_episode(self._env, self._seed, self.num_episodes)
        self.num_episodes += 1
        self._return, self._length = 0.0, 0
        self._policy.reset()
        self._time_step = self._env.reset()

    def step(
        self, is_random: bool = False, is_cut: bool = False
    ) -> episode.EpisodeResult | None:
        """Takes an env step.

        Args:
          is_random: Whether to draw the action uniformly.
          is_cut: Whether the episode is cut off here, as by a time limit.

        Returns:
          What the episode came to if the environment has ended it, else None.
        """
        time_step = self._time_step
        assert time_step is not None, "begin_episode comes first"
        if is_random:
            action = standard.sample_action(self._env, self._rng)
        else:
            action = self._policy.act(time_step)
        next_time_step = self._env.step(action)
        self._return += float(next_time_step.reward)
        self._length += 1
        result = None
        if next_time_step.is_last():
            is_success = success.read_success(self._env, next_time_step)
            result = episode.EpisodeResult(self._return, self._length, is_success)
        elif is_cut:
            next_time_step = next_time_step._replace(step_type=ts.StepType.LAST)
        for watch in self._watchers:
            watch(time_step, action, next_time_step)
        self._time_step = None if next_time_step.is_last() else next_time_step
        return result
