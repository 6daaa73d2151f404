"""The specs that environment, networks and replay share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import tensorflow as tf
from tf_agents.environments import py_environment
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts


@dataclasses.dataclass(frozen=True)
class Specs:
    """Shapes, dtypes and bounds without batch dimension.

    Attributes:
      observation: Nest of TensorSpec.
      action: BoundedTensorSpec, or a nest that holds one.
    """

    observation: Any
    action: Any

    @property
    def time_step(self) -> ts.TimeStep:
        """TimeStep of TensorSpec."""
        return ts.time_step_spec(self.observation)

    def save(self, path: Path) -> None:
        """Writes the specs as a text protocol buffer."""
        tensor_spec.to_pbtxt_file(str(path), (self.observation, self.action))

    @classmethod
    def load(cls, path: Path) -> Specs:
        """Reads what `save` wrote."""
        observation, action = tensor_spec.from_pbtxt_file(str(path))
        return cls(observation, action)

    def __str__(self) -> str:
        """Describes the specs in one line, for people."""

        def describe(spec: tf.TypeSpec) -> str:
            return f"{spec.dtype.name}{list(spec.shape)}"

        observation = tf.nest.map_structure(describe, self.observation)
        action = tf.nest.map_structure(describe, self.action)
        return f"observation {observation}, action {action}"


def read_specs(env: py_environment.PyEnvironment) -> Specs:
    """Reads the specs of an environment."""
    return Specs(
        observation=tensor_spec.from_spec(env.observation_spec()),
        action=tensor_spec.from_spec(env.action_spec()),
    )
