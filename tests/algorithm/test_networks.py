"""Observations of any kind reach all networks, and policies of them act alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.policies import greedy_policy, policy_saver, py_tf_eager_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from tests.agents import trained_variables
from tfagents_system.acting import policies
from tfagents_system.acting.numpy_actor import NumpyPolicy
from tfagents_system.algorithm import networks, normalization, sac
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import variables
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.errors import UserError
from tfagents_system.learning.build import build_agent
from tfagents_system.settings.hyperparameters import ACTIVATION, Execution

ACTION = tensor_spec.BoundedTensorSpec((2,), tf.float32, -1.0, 2.0)
FLOATS = tf.TensorSpec((3,), tf.float32)
IMAGE = tensor_spec.BoundedTensorSpec((16, 16, 3), tf.uint8, 0, 255)
FLAGS = tf.TensorSpec((), tf.int32)
NESTED = {"obs": FLOATS, "aux": {"successful": FLAGS}}

# Observation, attributes of the params, and whether the actor runs in NumPy.
CASES: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "image": (IMAGE, {}, False),
    "history of floats": (tf.TensorSpec((4, 3), tf.float32), {}, True),
    "integers": (tf.TensorSpec((3,), tf.int32), {}, True),
    "scalar": (tf.TensorSpec((), tf.float32), {}, True),
    "tuple": ((FLOATS, tf.TensorSpec((2, 2), tf.float32)), {}, True),
    "dict of one": ({"obs": FLOATS}, {}, True),
    "mixed dict": (
        {"b": IMAGE, "a": FLOATS, "c": (FLAGS, tf.TensorSpec((2,), tf.bool))},
        {},
        False,
    ),
    "flags beside floats": (NESTED, {}, True),
    "combiner": (
        NESTED,
        {"preprocessing_combiner": tf.keras.layers.Lambda(lambda x: x["obs"])},
        False,
    ),
    "field": (NESTED, {"preprocessing_combiner": networks.Field("obs")}, True),
    "field of whole numbers": (
        {"b": tf.TensorSpec((2, 3), tf.int32), "a": (FLOATS, FLOATS)},
        {"preprocessing_combiner": networks.Field("b")},
        True,
    ),
    "combiner of an image": (
        {"obs": IMAGE, "aux": FLAGS},
        {"preprocessing_combiner": tf.keras.layers.Lambda(lambda x: x["obs"] / 255)},
        False,
    ),
    "layers": (
        {"b": FLOATS, "a": FLOATS},
        {
            "preprocessing_layers": {
                "a": tf.keras.layers.Dense(4),
                "b": tf.keras.layers.Rescaling(2.0),
            }
        },
        False,
    ),
    "layer of a part, and combiner": (
        {"b": (FLOATS, FLOATS), "a": FLOATS},
        {
            "preprocessing_layers": {
                "a": tf.keras.layers.Dense(3),
                "b": tf.keras.layers.Add(),
            },
            "preprocessing_combiner": tf.keras.layers.Add(),
        },
        False,
    ),
}


def make_params(load: Callable[..., Any], attributes: dict[str, Any]) -> Any:
    """Returns params of small networks with the attributes."""
    params = load(train_params={"gradient_clipping": 10.0})
    for name, value in attributes.items():
        setattr(params, name, value)
    return params


def sample(observation_spec: Any, seed: int) -> Any:
    """Returns a random observation, a nest of arrays."""
    rng = np.random.default_rng(seed)

    def draw(spec: tf.TensorSpec) -> Any:
        if spec.dtype.is_floating:
            return np.asarray(rng.normal(3, 2, spec.shape), np.float32)
        # Large numbers that nothing scales down would saturate the standard deviation.
        high = 255 if spec.dtype == tf.uint8 else 3
        return np.asarray(rng.integers(0, high, spec.shape)).astype(
            spec.dtype.as_numpy_dtype
        )

    return tf.nest.map_structure(draw, observation_spec)


def make_batch(specs: Specs, size: int = 8) -> Any:
    """Returns random transitions as the learner gets them."""
    codec = RowCodec(specs)
    packed = [
        codec.pack(
            sample(specs.observation, 2 * seed),
            np.random.default_rng(seed).uniform(-1, 2, 2),
            1.0,
            1.0,
            sample(specs.observation, 2 * seed + 1),
        )
        for seed in range(size)
    ]
    return codec.unpack(tuple(tf.constant(np.stack(column)) for column in zip(*packed)))


def assert_acts_alike(agent: Any, observation_spec: Any, act: Any, atol: float) -> None:
    """Checks that a function of a time step gives the agent's greedy actions."""
    greedy = greedy_policy.GreedyPolicy(agent.policy)
    for seed in range(3):
        observation = sample(observation_spec, seed)
        batched = tf.nest.map_structure(lambda x: tf.constant(x)[None], observation)
        expected = greedy.action(ts.restart(batched, batch_size=1)).action[0]
        np.testing.assert_allclose(act(ts.restart(observation)), expected, atol=atol)


@pytest.mark.parametrize("normalizes", [False, True])
@pytest.mark.parametrize("name", sorted(CASES))
def test_observations_of_any_kind_reach_all_networks_and_the_workers(
    load: Callable[..., Any], name: str, normalizes: bool
) -> None:
    tf.keras.utils.set_random_seed(0)
    observation_spec, attributes, is_numpy = CASES[name]
    params = make_params(load, attributes)
    params.normalize_observations = normalizes
    specs = Specs(observation_spec, ACTION)
    flat = tf.nest.flatten(observation_spec)
    if normalizes and not any(map(normalization.is_normalized, flat)):
        with pytest.raises(UserError, match="no float vectors"):
            build_agent(params, specs)
        return
    agent = build_agent(params, specs, Execution(num_batch_shards=2))

    # All networks have their own weights, and all of them learn.
    trained = trained_variables(agent)
    assert len({id(variable) for variable in trained}) == len(trained)
    before = [variable.numpy() for variable in trained]
    batch = make_batch(specs)
    assert np.isfinite(agent.train(batch).loss.numpy())
    for variable, old in zip(trained, before):
        if len(variable.shape) > 1:
            assert np.any(variable.numpy() != old), variable.name
    assert np.isfinite(list(sac.diagnose(agent, batch).values())).all()

    # A worker acts with what it pulls as the agent does.
    worker = build_agent(params, specs)
    policy = policies.make_policy(
        greedy_policy.GreedyPolicy(worker.policy), np.random.default_rng(0)
    )
    assert isinstance(policy, NumpyPolicy) == is_numpy
    packed = variables.policy_variables(agent).read()
    variables.policy_variables(worker).assign(packed)
    policy.refresh()
    assert_acts_alike(agent, observation_spec, policy.act, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "normalizes"),
    [("combiner", False), ("mixed dict", True)],
)
def test_exported_policies_of_any_observation_act_alike(
    load: Callable[..., Any], tmp_path: Path, name: str, normalizes: bool
) -> None:
    observation_spec, attributes, _ = CASES[name]
    params = make_params(load, attributes)
    params.normalize_observations = normalizes
    specs = Specs(observation_spec, ACTION)
    agent = build_agent(params, specs)
    path = str(tmp_path / "policy")
    saver = policy_saver.PolicySaver(greedy_policy.GreedyPolicy(agent.policy))
    saver.save(path)
    tf.function(agent.train)(make_batch(specs))
    saver.save_checkpoint(str(tmp_path / "checkpoint"))
    loaded = py_tf_eager_policy.SavedModelPyTFEagerPolicy(
        path, load_specs_from_pbtxt=True
    )
    loaded.update_from_checkpoint(str(tmp_path / "checkpoint"))
    assert_acts_alike(
        agent, observation_spec, lambda step: loaded.action(step).action, atol=1e-6
    )


def test_default_joins_what_there_is_in_the_order_of_flatten(
    load: Callable[..., Any],
) -> None:
    spec = {"b": FLOATS, "a": tf.TensorSpec((2, 2), tf.int32)}
    critic = networks.make_critic(load(), spec, ACTION)
    observation = {
        "b": tf.constant([[5.0, 6.0, 7.0]]),
        "a": tf.constant([[[1, 2], [3, 4]]]),
    }
    encoded, _ = critic._encoder(observation)
    np.testing.assert_array_equal(encoded, [[1, 2, 3, 4, 5, 6, 7]])


def test_float_vector_has_no_preprocessing(load: Callable[..., Any]) -> None:
    critic = networks.make_critic(load(), FLOATS, ACTION)
    assert not isinstance(critic, networks.EncodingCritic)
    actor = networks.make_actor(load(), FLOATS, ACTION)
    assert actor._encoder._flat_preprocessing_layers is None
    assert actor._encoder._preprocessing_combiner is None


def test_a_new_actor_explores_as_the_archived_systems(load: Callable[..., Any]) -> None:
    projection = networks.make_actor(load(), FLOATS, ACTION)._projection_networks
    # TF-Agents' default of 0.1 would begin nearer to the middle of the actions.
    assert projection._means_projection_layer.kernel_initializer.scale == 0.5


@pytest.mark.parametrize("size", [16, 84])
def test_images_are_scaled_and_become_a_vector(size: int) -> None:
    encoder = networks.make_image_encoder("linear")
    encoded = encoder(tf.fill((1, size, size, 3), tf.constant(255, tf.uint8)))
    assert encoded.shape == (1, 64 * (size // 8 + size % 8 // 4) ** 2)
    x = tf.ones((1, size, size, 3))
    for layer in encoder.layers[1:]:
        x = layer(x)
    np.testing.assert_allclose(encoded, x, rtol=1e-5, atol=1e-6)


def test_activation_reaches_all_hidden_layers(load: Callable[..., Any]) -> None:
    for spec in (FLOATS, {"image": IMAGE}):
        params = make_params(load, {"activation": "elu"})
        agent = build_agent(params, Specs(spec, ACTION))
        for network in (agent._actor_network, agent._target_critic_network_2):
            kinds = (tf.keras.layers.Dense, tf.keras.layers.Conv2D)
            activations = [
                layer.activation
                for layer in network._flatten_layers()
                if isinstance(layer, kinds)
            ]
            hidden = activations.count(tf.keras.activations.elu)
            assert hidden == (1 if spec is FLOATS else 4)
            assert tf.keras.activations.relu not in activations
            assert tf.nn.relu not in activations


def test_activations_are_those_of_keras() -> None:
    names = set(dir(tf.keras.activations)) - {"deserialize", "get", "serialize"}
    known = ACTIVATION.requirement.removeprefix("must be one of ").split(", ")
    assert set(known) == {name for name in names if not name.startswith("_")}


def test_a_field_hides_the_others_from_the_networks(load: Callable[..., Any]) -> None:
    params = make_params(load, {"preprocessing_combiner": networks.Field("obs")})
    actor = build_agent(params, Specs(NESTED, ACTION)).policy._actor_network
    kernels = [v for v in actor.variables if "kernel" in v.name]
    assert kernels[0].shape[0] == FLOATS.shape[0]
