"""A params file for the end-to-end tests: environments by name, and toy ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf_agents.environments import py_environment, wrappers
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.environments import loaders
from tfagents_system.train_params_base import TrainParamsBase

SIZE = 32
MAX_STEPS = 20
SPECS: dict[str, Any] = {
    "dict": {
        "obs": array_spec.ArraySpec((2,), np.float32),
        "aux": {"successful": array_spec.ArraySpec((), np.int32)},
        "image": array_spec.BoundedArraySpec((SIZE, SIZE, 3), np.uint8, 0, 255),
    },
    "memory": array_spec.ArraySpec((2,), np.float32),
}


class Point(py_environment.PyEnvironment):
    """A point on [-1, 1] that should go to 0; it must not be stepped after its end."""

    def __init__(self, kind: str, seed: int | None) -> None:
        super().__init__(handle_auto_reset=False)
        self._kind = kind
        self._rng = np.random.default_rng(seed)
        self._position = 0.0
        self._num_steps = 0
        self._has_ended = True

    def observation_spec(self) -> Any:
        return SPECS[self._kind]

    def action_spec(self) -> Any:
        # Not the unit interval.
        return array_spec.BoundedArraySpec((1,), np.float32, -0.1, 0.3)

    def _reset(self) -> ts.TimeStep:
        # At least three env steps from its goal, whatever the policy has learned.
        self._position = self._rng.choice([-1, 1]) * self._rng.uniform(0.75, 0.95)
        self._num_steps = 0
        self._has_ended = False
        return ts.restart(self._observe())

    def _step(self, action: Any) -> ts.TimeStep:
        if self._has_ended:
            raise RuntimeError("stepped after the end of an episode")
        assert -0.1 <= action[0] <= 0.3
        self._position = float(np.clip(self._position + action[0], -1, 1))
        self._num_steps += 1
        reward = -abs(self._position)
        if self._is_successful():
            self._has_ended = True
            return ts.termination(self._observe(), reward)
        if self._num_steps == MAX_STEPS:
            self._has_ended = True
            return ts.truncation(self._observe(), reward)
        return ts.transition(self._observe(), reward)

    def _is_successful(self) -> bool:
        return abs(self._position) < 0.1

    def _observe(self) -> Any:
        vector = np.array([self._position, self._num_steps / MAX_STEPS], np.float32)
        if self._kind == "dict":
            flag = np.array(self._is_successful(), np.int32)
            image = self.render()
            return {"obs": vector, "aux": {"successful": flag}, "image": image}
        if self._kind == "memory" and self._num_steps:
            vector[0] = 0  # Only the first observation shows where it is.
        return vector

    def render(self, mode: str = "rgb_array") -> Any:
        """Returns a picture with a white column where the point is.

        Below it a bar grows with time: something moves even if the point does not.
        """
        picture = np.zeros((SIZE, SIZE, 3), np.uint8)
        picture[:, int((self._position + 1) / 2 * (SIZE - 1))] = 255
        picture[-SIZE // 8 :, : SIZE * self._num_steps // MAX_STEPS] = 255
        return picture


class TrainParams(TrainParamsBase):
    """Small networks and few steps."""

    def __init__(self, env_config: dict[str, Any]) -> None:
        super().__init__(env_config)
        self.num_iter = 12
        self.num_steps_per_iter = 25
        self.train_batch_size = 16
        self.n_buffer_init_episodes = 4
        self.n_eval_episodes = 1
        self.eval_period_itrs = 6
        self.checkpoint_period_itrs = 6
        self.actor_fc_layer_params = (32, 16)
        self.critic_joint_fc_layer_params = (32, 16)
        self.recurrent_sequence_length = 5

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        name = self.env_config["env"]
        if name in SPECS:
            return Point(name, seed)
        if name == "history":
            return wrappers.HistoryWrapper(
                loaders.load("Pendulum-v1", seed=seed), 3, include_actions=True
            )
        return loaders.load(name, seed=seed)
