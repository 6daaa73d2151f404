"""TrainParams whose environment misbehaves as env_config["behaviour"] says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.train_params_base import TrainParamsBase

STEP_SECS = 0.01
# The checks before a training take fewer steps in an environment.
STEPS_BEFORE_FAULT = 30
SLOW_CONSTRUCTOR_SECS = 8.0
CHATTER = "x" * 9_999 + "\n"


class FaultyEnvironment(py_environment.PyEnvironment):
    """A point on [-1, 1] that should go to 0, until something goes wrong."""

    def __init__(self, config: Mapping[str, Any], seed: int | None) -> None:
        """Makes it; some faults happen here."""
        super().__init__(handle_auto_reset=False)
        self._behaviour = config["behaviour"]
        self._horizon = config["horizon"]
        self._long_step_secs = config["long_step_secs"]
        self._rng = np.random.default_rng(seed)
        self._position = 0.0
        self._num_steps = 0
        self._num_steps_ever = 0
        self._construct()

    def observation_spec(self) -> array_spec.ArraySpec:
        """Returns position and time."""
        return array_spec.ArraySpec((2,), np.float32)

    def action_spec(self) -> array_spec.BoundedArraySpec:
        """Returns the change of the position."""
        return array_spec.BoundedArraySpec((1,), np.float32, -0.3, 0.3)

    def _construct(self) -> None:
        if self._behaviour == "simulator":
            subprocess.Popen(["sleep", "1000"])
        elif self._behaviour == "simulator in a session":
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
        elif self._behaviour == "forks" and os.fork() == 0:
            time.sleep(1000)
            os._exit(0)
        elif self._behaviour == "exits in its constructor":
            sys.exit()
        elif self._behaviour == "slow constructor":
            time.sleep(SLOW_CONSTRUCTOR_SECS)
        elif self._behaviour == "changes folder and fails":
            os.chdir("/")

    def _reset(self) -> ts.TimeStep:
        self._position = self._rng.uniform(-1, 1)
        self._num_steps = 0
        return ts.restart(self._observe())

    def _step(self, action: Any) -> ts.TimeStep:
        time.sleep(STEP_SECS)
        self._num_steps_ever += 1
        if self._num_steps_ever > STEPS_BEFORE_FAULT:
            self._go_wrong()
        self._position = float(np.clip(self._position + action[0], -1, 1))
        self._num_steps += 1
        reward = -abs(self._position)
        if self._num_steps == self._horizon:
            return ts.truncation(self._observe(), reward)
        return ts.transition(self._observe(), reward)

    def _go_wrong(self) -> None:
        if self._behaviour == "exits in a step":
            sys.exit(0)
        elif self._behaviour == "os._exit in a step":
            os._exit(0)
        elif self._behaviour == "KeyboardInterrupt in a step":
            raise KeyboardInterrupt
        elif self._behaviour == "changes folder and fails":
            raise RuntimeError("the motor is on fire")
        elif self._behaviour == "chatters":
            print(CHATTER, end="", flush=True)
        elif self._behaviour == "long steps":
            time.sleep(self._long_step_secs)

    def _observe(self) -> Any:
        return np.array([self._position, self._num_steps / self._horizon], np.float32)


class TrainParams(TrainParamsBase):
    """All hyperparameters come from the JSON."""

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Makes the environment."""
        return FaultyEnvironment(self.env_config, seed)
