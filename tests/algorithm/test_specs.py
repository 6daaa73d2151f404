"""The specs of an environment, and their file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.algorithm.specs import Specs, read_specs

NESTED = Specs(
    observation={
        "image": tensor_spec.BoundedTensorSpec((4, 4, 3), tf.uint8, 0, 255),
        "aux": (tf.TensorSpec((), tf.bool), tf.TensorSpec((2,), tf.float32)),
    },
    action=tensor_spec.BoundedTensorSpec((2,), tf.float32, [-1.0, 0.0], [1.0, 0.5]),
)


def test_specs_are_those_of_the_environment(pendulum: tuple[Any, Any, Specs]) -> None:
    specs = read_specs(pendulum[1])
    assert (specs.observation.shape, specs.observation.dtype) == ((3,), tf.float32)
    assert (specs.action.shape, specs.action.dtype) == ((1,), tf.float32)
    assert (specs.action.minimum, specs.action.maximum) == (-2.0, 2.0)
    assert str(specs) == "observation float32[3], action float32[1]"


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "specs.pbtxt"
    NESTED.save(path)
    loaded = Specs.load(path)
    assert loaded.observation == NESTED.observation
    assert str(loaded) == str(NESTED)
    np.testing.assert_array_equal(loaded.action.minimum, NESTED.action.minimum)
    np.testing.assert_array_equal(loaded.action.maximum, NESTED.action.maximum)


def test_time_step_has_the_observation() -> None:
    time_step = NESTED.time_step
    assert time_step.observation == NESTED.observation
    assert time_step.step_type.dtype == ts.StepType.FIRST.dtype
    assert (time_step.reward.shape, time_step.reward.dtype) == ((), tf.float32)
