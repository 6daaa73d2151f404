"""The hyperparameters that the flags name, as a `TrainParams`."""

from __future__ import annotations

import math
from typing import Any

from tfagents_system.environments import loaders
from tfagents_system.errors import UserError
from tfagents_system.train_params_base import TrainParamsBase


class FlagParams(TrainParamsBase):
    """SAC on an environment by its name.

    Defaults are off-policy's, but for `alpha` and `critic_loss`. An iteration is one
    env step and one gradient step.

    Attributes:
      env_config: `horizon`, and all flags by name.
    """

    def __init__(self, env_config: dict[str, Any]) -> None:
        """Reads the flags.

        Args:
          env_config: What `flags.parse` returned.
        """
        super().__init__(env_config)
        self.actor_learning_rate = env_config["policy_lr"]
        self.critic_learning_rate = env_config["q_lr"]
        self.alpha_learning_rate = env_config["alpha_lr"]
        self.reward_scale_factor = env_config["reward_scale"]
        self.discount = env_config["discount"]
        self.target_update_tau = env_config["tau"]
        self.target_update_period = env_config["target_delay"]
        self.target_entropy = env_config["target_entropy"]
        self.train_batch_size = env_config["batch_size"]
        self.actor_fc_layer_params = tuple(env_config["hidden"])
        self.critic_joint_fc_layer_params = tuple(env_config["hidden"])
        self.sac_log_alpha = math.log(env_config["alpha"])
        self.critic_loss = env_config["critic_loss"]
        self.seed = env_config["seed"]
        self.num_iter = env_config["iterations"]
        self.num_steps_per_iter = 1

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Loads the environment `--env`.

        Raises:
          UserError: It was not given.
        """
        if self.env_config["env"] is None:
            raise UserError("--env is missing: env_ctor of FlagParams loads it by name")
        return loaders.load(self.env_config["env"], seed=seed)

    def agent_ctor(
        self, train_step: Any, obs_spec: Any, action_spec: Any, time_step_spec: Any
    ) -> Any:
        """Builds the agent; the target entropy is -dim(action) unless it is given."""
        if self.target_entropy is None:
            self.target_entropy = -float(action_spec.shape.num_elements())
        return super().agent_ctor(train_step, obs_spec, action_spec, time_step_spec)
