"""TrainParams of the benchmarks: any environment by name.

The rest is in the JSON that `system.py` writes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.environments import loaders
from tfagents_system.train_params_base import TrainParamsBase

SLEEPING = "sleeping"


class SleepingEnvironment(py_environment.PyEnvironment):
    """Sleeps through each step, as if a slow simulator ran on another machine."""

    def __init__(self, step_secs: float) -> None:
        """Makes an environment whose steps take `step_secs` each."""
        super().__init__()
        self._step_secs = step_secs
        self._observation = np.zeros(28, np.float32)

    def observation_spec(self) -> array_spec.ArraySpec:
        """Returns a float32 vector of the Minitaur's size."""
        return array_spec.ArraySpec((28,), np.float32)

    def action_spec(self) -> array_spec.BoundedArraySpec:
        """Returns an action of the Minitaur's size."""
        return array_spec.BoundedArraySpec((8,), np.float32, -1, 1)

    def _reset(self) -> ts.TimeStep:
        return ts.restart(self._observation)

    def _step(self, action: Any) -> ts.TimeStep:
        time.sleep(self._step_secs)
        return ts.transition(self._observation, 0.0)


class TrainParams(TrainParamsBase):
    """All hyperparameters come from the JSON."""

    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """Makes the environment that the JSON names."""
        name = self.env_config["env"]
        if name == SLEEPING:
            return SleepingEnvironment(self.env_config["step_secs"])
        return loaders.load(name, seed=seed)
