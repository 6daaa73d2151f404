"""Example: PyBullet's Minitaur, a quadruped that learns to walk forward."""

from __future__ import annotations

from typing import Any

from pybullet_envs.bullet import minitaur_gym_env
from tf_agents.environments import suite_pybullet

from tfagents_system.train_params_base import TrainParamsBase

# The environment renders 960x720, which takes its CPU renderer 0.26 s a frame.
minitaur_gym_env.RENDER_WIDTH = 480
minitaur_gym_env.RENDER_HEIGHT = 360


class TrainParams(TrainParamsBase):
    """1M env steps and 0.5M gradient steps."""

    def __init__(self, env_config: dict[str, Any]) -> None:
        """Sets the size of an iteration, the replay and the periods."""
        super().__init__(env_config)
        self.num_iter = 1000
        self.num_steps_per_iter = 500
        self.n_train_episodes_per_iter = 1
        self.n_buffer_init_episodes = 10
        self.n_episodes_in_buffer = 350
        self.train_batch_size = 256
        self.log_period_itrs = 5
        self.checkpoint_period_itrs = 5
        self.eval_period_itrs = 5
        # Not the archived system's. Rewards are about 0.01 a step, so its first alpha,
        # e^1, makes the entropy bonus drown them for 50,000 gradient steps, and its 5
        # episodes an evaluation take half the worker's time (docs/results.md).
        self.sac_log_alpha = -7.0
        self.n_eval_episodes = 2

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Builds the Minitaur; an episode ends when it falls or at the horizon."""
        env = suite_pybullet.load(
            "MinitaurBulletEnv-v0", max_episode_steps=self.env_config["horizon"]
        )
        if seed is not None:
            env.seed(seed)
        return env
