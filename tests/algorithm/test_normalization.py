"""Running statistics of observations, and training with them."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.agents import ShardedWithoutNoise, make_transitions, trained_variables
from tfagents_system.algorithm import sac
from tfagents_system.algorithm.normalization import ObservationNormalizer
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.learning.build import build_agent
from tfagents_system.settings.hyperparameters import Execution

SPEC = {
    "image": tf.TensorSpec((4, 4, 1), tf.float32),
    "count": tf.TensorSpec((2,), tf.int32),
    "joints": tf.TensorSpec((2, 3), tf.float32),
    "scalar": tf.TensorSpec((), tf.float32),
}


def observations(outer: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Returns random observations far from mean 0 and variance 1."""
    rng = np.random.default_rng(seed)
    return {
        "image": rng.normal(5, 3, (*outer, 4, 4, 1)).astype(np.float32),
        "count": rng.integers(5, 9, (*outer, 2)).astype(np.int32),
        "joints": rng.normal(1000, 2, (*outer, 2, 3)).astype(np.float32),
        "scalar": rng.normal(-1, 1e-3, outer).astype(np.float32),
    }


def test_statistics_are_those_of_all_batches() -> None:
    normalizer = ObservationNormalizer(SPEC)
    update = tf.function(normalizer.update)
    batches = [observations((size,), seed) for seed, size in enumerate((64, 7, 200, 1))]
    batches.append(observations((5, 4), 9))  # (B, T)
    for observation in batches:
        update(tf.nest.map_structure(tf.constant, observation))
    assert int(normalizer.count.numpy()) == 64 + 7 + 200 + 1 + 20
    for index, name in enumerate(("joints", "scalar")):
        shape = SPEC[name].shape
        seen = np.concatenate([b[name].reshape(-1, *shape) for b in batches])
        seen = seen.astype(np.float64)
        np.testing.assert_allclose(normalizer.means[index], seen.mean(0), rtol=1e-6)
        np.testing.assert_allclose(normalizer.variances[index], seen.var(0), rtol=1e-2)


def test_statistics_converge_over_many_batches() -> None:
    normalizer = ObservationNormalizer(tf.TensorSpec((2,), tf.float32))
    # As after a long training: a batch counts as much as any other one.
    normalizer.count.assign(2**33)
    normalizer.means[0].assign([1.0, -1.0])
    update = tf.function(normalizer.update)
    normalizer.update(tf.fill((2**10, 2), 3.0))
    assert np.all(normalizer.variances[0].numpy() >= 1)
    normalizer.count.assign(0)
    rng = np.random.default_rng(0)
    for _ in range(300):
        update(tf.constant(rng.normal([10, -3], [5, 0.1], (256, 2)), tf.float32))
    np.testing.assert_allclose(normalizer.means[0], [10, -3], rtol=0.01)
    np.testing.assert_allclose(normalizer.variances[0], [25, 0.01], rtol=0.02)


def test_floats_are_normalized_and_clipped_and_nothing_else() -> None:
    normalizer = ObservationNormalizer(SPEC)
    observation = observations((3,), 0)
    tensors = tf.nest.map_structure(tf.constant, observation)
    same = normalizer.normalize(tensors)  # Not updated yet.
    np.testing.assert_array_equal(same["scalar"], observation["scalar"])
    normalizer.means[0].assign(np.full((2, 3), 1000.0))
    normalizer.variances[0].assign(np.full((2, 3), 4.0))
    normalizer.means[1].assign(-1.5)
    normalizer.variances[1].assign(1e-4)
    result = normalizer.normalize(tensors)
    expected = (observation["joints"] - 1000) / 2
    np.testing.assert_allclose(result["joints"], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(result["scalar"], [10, 10, 10])
    for name in ("image", "count"):
        np.testing.assert_array_equal(result[name], observation[name])


@pytest.fixture
def both(
    load: Callable[..., Any],
    pendulum: tuple[Any, Any, Specs],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Any, Any, RowCodec]:
    """Returns agents of the same weights with and without normalization, and a codec.

    They take the modes for samples, and plain gradient descent. The one that
    normalizes splits its batches.
    """
    monkeypatch.setattr(tf.keras.optimizers, "Adam", tf.keras.optimizers.SGD)
    monkeypatch.setattr(sac, "ShardedSacAgent", ShardedWithoutNoise)
    rates = {f"{name}_learning_rate": 0.01 for name in ("actor", "critic", "alpha")}
    agents = [
        build_agent(
            load(train_params={**rates, "normalize_observations": is_on}),
            pendulum[2],
            Execution(num_batch_shards=2 if is_on else 1),
        )
        for is_on in (True, False)
    ]
    for mine, theirs in zip(*map(trained_variables, agents)):
        mine.assign(theirs)
    return agents[0], agents[1], RowCodec(pendulum[2])


def test_training_is_that_on_observations_normalized_by_hand(
    both: tuple[Any, Any, RowCodec],
) -> None:
    agent, plain, codec = both
    assert len(trained_variables(agent)) == len(trained_variables(plain))
    seen: list[Any] = []
    before = [variable.numpy() for variable in trained_variables(agent)]
    for step in range(3):
        # Batches that differ, and are far from normal.
        transition = tf.nest.map_structure(
            lambda x, s=step: x * (s + 1) + s if x.shape[1:] == (3,) else x,
            make_transitions(codec, 32, 1.0),
        )
        time_step, _, next_time_step = transition
        seen.append(time_step.observation.numpy())
        mean, std = np.concatenate(seen).mean(0), np.concatenate(seen).std(0)

        def by_hand(step: Any, mean: Any = mean, std: Any = std) -> Any:
            normalized = (step.observation.numpy() - mean) / std
            clipped = np.clip(normalized, -10, 10).astype(np.float32)
            return step._replace(observation=tf.constant(clipped))

        normalized = transition._replace(
            time_step=by_hand(time_step), next_time_step=by_hand(next_time_step)
        )
        losses = agent.train(transition), plain.train(normalized)
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *losses
        )
        # As it stands now, without another update.
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
            (agent.loss(transition), sac.diagnose(agent, transition)),
            (plain.loss(normalized), sac.diagnose(plain, normalized)),
        )
    for old, mine, theirs in zip(before, *map(trained_variables, (agent, plain))):
        assert np.any(old != mine.numpy())
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


def test_policy_acts_on_observations_as_they_are(
    both: tuple[Any, Any, RowCodec],
) -> None:
    agent, plain, codec = both
    time_step = make_transitions(codec, 5, 1.0).time_step
    agent.normalizer.means[0].assign([1.0, 2.0, 3.0])
    agent.normalizer.variances[0].assign([4.0, 4.0, 0.25])
    normalized = (time_step.observation - [1.0, 2.0, 3.0]) / [2.0, 2.0, 0.5]
    for mine, theirs in (
        (agent.policy, plain.policy),
        (agent.collect_policy, plain.collect_policy),
    ):
        np.testing.assert_allclose(
            mine.distribution(time_step).action.mode(),
            theirs.distribution(
                time_step._replace(observation=normalized)
            ).action.mode(),
            atol=1e-5,
        )
        names = [variable.ref() for variable in mine.variables()]
        assert all(v.ref() in names for v in agent.normalizer.acting_variables)
