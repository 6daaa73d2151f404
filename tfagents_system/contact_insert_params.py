"""Example: ContactInsert, a hand that learns to insert a plate by feel."""

from __future__ import annotations

from typing import Any

from tfagents_system.algorithm.networks import Field
from tfagents_system.environments.contact_insert.environment import (
    ContactInsertEnvironment,
)
from tfagents_system.environments.contact_insert.parameters import ATTRIBUTES
from tfagents_system.environments.contact_insert.starts import HIGH
from tfagents_system.train_params_base import TrainParamsBase


class TrainParams(TrainParamsBase):
    """1.28M env steps and 0.5M gradient steps: the archived schedule times 10/128."""

    def __init__(self, env_config: dict[str, Any]) -> None:
        """Sets the size of an iteration, the replay and the periods."""
        super().__init__(env_config)
        self.num_iter = 10_000
        self.num_steps_per_iter = 50
        self.n_train_episodes_per_iter = 1
        # The archived 500 are for 128,000 iterations.
        self.n_buffer_init_episodes = 100
        # A fifth of the training: what was collected with less noise makes way.
        self.n_episodes_in_buffer = 2000
        self.train_batch_size = 256
        # The networks must not see the success flag.
        self.preprocessing_combiner = Field("obs")
        # Not the archived 1. A uniformly random policy has 4.2 nats: times e^-6 that
        # is a bonus of 0.01 an env step, about what a step costs. With e^1 it would be
        # 1000 times as much, and Adam would take a quarter of the iterations that are
        # without noise to bring it down.
        self.sac_log_alpha = -6.0
        # A success rate of the archived 5 episodes would come in steps of 20 %.
        self.n_eval_episodes = 20

    def collect_env_args_kwargs(
        self, *args: Any, **kwargs: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Starts each parameter of the curriculum at the first value of its range."""
        curriculum = self.env_config.get("curriculum", {})
        first = {name: entry["range"][0] for name, entry in curriculum.items()}
        return (), {name: first[name] for name in first if name in ATTRIBUTES}

    def eval_env_args_kwargs(
        self, *args: Any, **kwargs: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Evaluates from the high start only, at full difficulty."""
        return (), {"forced_init_idx": HIGH}

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Builds the environment."""
        return ContactInsertEnvironment(self.env_config, seed, *args, **kwargs)
