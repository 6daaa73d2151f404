"""Recurrent networks: they remember, and are trained on sequences of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.policies import greedy_policy, py_tf_eager_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.acting import policies
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.experiment.directory import Experiment
from tfagents_system.learning import policy_export
from tfagents_system.learning.build import build_agent
from tfagents_system.learning.gradient_steps import GradientSteps
from tfagents_system.settings.hyperparameters import Execution

LENGTH = 6
ACTION = tensor_spec.BoundedTensorSpec((1,), tf.float32, -1.0, 1.0)
VECTOR = tf.TensorSpec((2,), tf.float32)
NESTED = {"cue": tf.TensorSpec((2,), tf.float32), "aux": tf.TensorSpec((), tf.int32)}


@pytest.fixture
def recurrent_params(load: Any) -> Any:
    """Returns params of small recurrent networks."""
    return load(
        train_params={
            "recurrent": True,
            "recurrent_sequence_length": LENGTH,
            "actor_fc_layer_params": [16, 12],
            "critic_joint_fc_layer_params": [16, 14],
            "actor_learning_rate": 1e-2,
            "critic_learning_rate": 1e-2,
            "discount": 0.8,
            "sac_log_alpha": -4.0,
        }
    )


def recall_episode(act: Callable[[ts.TimeStep], Any], cue: float) -> list[Any]:
    """Shows a cue once; afterwards the action must be what it was.

    Returns:
      For each step what a row holds, the reward at index 2.
    """
    steps = []
    time_step = ts.restart(np.array([cue, 0.0], np.float32))
    for index in range(LENGTH):
        action = act(time_step)
        reward = -abs(float(action[0]) - cue) if index else 0.0
        discount = 0.0 if index == LENGTH - 1 else 1.0
        observation = np.array([0.0, (index + 1) / LENGTH], np.float32)
        steps.append(
            (time_step.observation, action, reward, discount, observation, index == 0)
        )
        time_step = ts.transition(observation, reward)
    return steps


def recall_return(policy: policies.Policy, cue: float) -> float:
    """Returns the return of an episode in which a policy is shown a cue."""
    policy.reset()
    return float(sum(step[2] for step in recall_episode(policy.act, cue)))


def shapes(network: Any) -> list[tuple[int, ...]]:
    """Returns the shapes of the kernels, in their order."""
    network.create_variables()
    return [tuple(v.shape) for v in network.trainable_variables if len(v.shape) > 1]


def test_layers_are_those_of_the_archived_framework(recurrent_params: Any) -> None:
    combiner = tf.keras.layers.Lambda(lambda x: x["cue"])
    for observation, preprocessing_combiner in ((VECTOR, None), (NESTED, combiner)):
        recurrent_params.preprocessing_combiner = preprocessing_combiner
        actor = recurrent_params.actor_ctor(observation, ACTION)
        lstm = [(16, 4 * 16), (16, 4 * 16)]
        mean_and_std = [(12, 1), (12, 1)]
        assert shapes(actor) == [(2, 16), *lstm, (16, 12), *mean_and_std]
        critic = recurrent_params.critic_ctor(observation, ACTION)
        lstm = [(16, 4 * 14), (14, 4 * 14)]
        # Observation and action are joined as they are.
        assert shapes(critic) == [(2 + 1, 16), *lstm, (14, 200), (200, 100), (100, 1)]


@pytest.mark.timeout(300)
def test_an_lstm_learns_what_no_memoryless_policy_can(recurrent_params: Any) -> None:
    tf.keras.utils.set_random_seed(0)
    specs = Specs(VECTOR, ACTION)
    agent = build_agent(recurrent_params, specs, Execution(num_batch_shards=2))
    codec = RowCodec.of(recurrent_params, specs)
    rng = np.random.default_rng(0)
    # Random actions will do: the learning is off-policy.
    rows = [
        codec.pack(*step)[0]
        for _ in range(1000)
        for step in recall_episode(
            lambda _: rng.uniform(-1, 1, 1).astype(np.float32), rng.choice([-1.0, 1.0])
        )
    ]
    sequences = tf.data.Dataset.from_tensor_slices(
        (np.stack(rows).reshape(1000, LENGTH, -1),)
    )
    dataset = sequences.repeat().shuffle(1000).batch(32, drop_remainder=True)
    steps = GradientSteps(agent, codec, dataset)
    policy = policies.make_policy(greedy_policy.GreedyPolicy(agent.policy), rng)
    # Without a memory one of the two cues costs at least 1 a step, 5 in all.
    for _ in range(10):
        steps.run(200)
        assert np.isfinite(list(steps.diagnose().values())).all()
        policy.refresh()
        if (worst := min(recall_return(policy, cue) for cue in (-1.0, 1.0))) > -2.5:
            break
    assert worst > -2.5


@pytest.mark.parametrize("observation", [VECTOR, NESTED], ids=["vector", "nested"])
def test_memory_begins_anew_with_each_episode_and_survives_the_export(
    recurrent_params: Any, observation: Any, tmp_path: Path
) -> None:
    specs = Specs(observation, ACTION)
    agent = build_agent(recurrent_params, specs)
    policy = policies.make_policy(
        greedy_policy.GreedyPolicy(agent.policy), np.random.default_rng(0)
    )
    experiment = Experiment(tmp_path)
    exporter = policy_export.PolicyExporter(experiment, agent)
    exporter.export_saved_models()
    saved = policies.TFAgentsPolicy(
        py_tf_eager_policy.SavedModelPyTFEagerPolicy(
            str(experiment.policies / policy_export.GREEDY_POLICY),
            load_specs_from_pbtxt=True,
        )
    )

    def act(policy: policies.Policy) -> list[float]:
        policy.reset()
        values = tf.nest.map_structure(
            lambda spec: np.ones(spec.shape, spec.dtype.as_numpy_dtype), observation
        )
        steps = [ts.restart(values), *[ts.transition(values, 1.0)] * 3]
        return [float(policy.act(step)[0]) for step in steps]

    first = act(policy)
    assert len(set(first)) == 4  # The same observation, but not the same memory.
    assert act(policy) == first
    np.testing.assert_allclose(act(saved), first, atol=1e-5)
    np.testing.assert_allclose(act(saved), first, atol=1e-5)


def test_what_came_before_an_episode_has_no_effect(recurrent_params: Any) -> None:
    specs = Specs(VECTOR, ACTION)
    codec = RowCodec.of(recurrent_params, specs)
    critic = recurrent_params.critic_ctor(VECTOR, ACTION)
    rng = np.random.default_rng(0)
    begins_at = 3

    def q_values(before: float) -> Any:
        rows = [
            codec.pack(
                np.full(2, before if index < begins_at else 1.0),
                np.ones(1),
                0.0,
                1.0,
                np.full(2, before if index < begins_at else 1.0),
                is_first=index == begins_at,
            )[0]
            for index in range(LENGTH)
        ]
        transition = codec.unpack((tf.constant(np.stack(rows))[None],))
        step = transition.next_time_step
        inputs = (step.observation, transition.action_step.action)
        return critic(inputs, step_type=step.step_type)[0].numpy()[0]

    one, other = q_values(0.5), q_values(float(rng.normal()))
    assert (one[:begins_at] != other[:begins_at]).all()
    np.testing.assert_array_equal(one[begins_at:], other[begins_at:])
