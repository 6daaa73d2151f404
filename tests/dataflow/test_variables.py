"""The policy edge, against a real Reverb server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import reverb
from numpy.typing import NDArray
from tf_agents.policies import greedy_policy
from tf_agents.trajectories import time_step as ts

from tests.dataflow.conftest import PACING, serve
from tests.end_to_end.harness import wait_for
from tests.learning.helpers import read_policy
from tfagents_system.acting.policies import make_policy
from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.deadline import Line
from tfagents_system.learning.build import build_agent

RUN_ID = "7ab0"


def test_policy_is_published_and_pulled(
    pendulum: tuple[Any, Any, Specs], server: int
) -> None:
    params, _, specs = pendulum
    learner, worker = build_agent(params, specs), build_agent(params, specs)
    client = replay.connect(server)
    publisher = variables.PolicyPublisher(learner, client, RUN_ID)
    assert publisher.last is None
    for train_step in (0, 7):
        learner.train_step_counter.assign(train_step)
        for variable in learner.policy.variables():
            variable.assign(variable + 0.1)
        publisher.publish()
    info = replay.read_replay(client)
    assert info is not None
    assert info.has_policy
    policy = read_policy(client)
    assert policy.train_step == 7
    assert publisher.last is not None
    assert publisher.last.train_step == 7
    expected = variables.policy_variables(learner).read()
    np.testing.assert_array_equal(policy.packed, expected)

    variables.policy_variables(worker).assign(policy.packed)
    observation = ts.restart(np.array([0.6, 0.8, -1.0], np.float32))
    actions = [
        make_policy(
            greedy_policy.GreedyPolicy(agent.policy), np.random.default_rng(0)
        ).act(observation)
        for agent in (learner, worker)
    ]
    np.testing.assert_array_equal(*actions)


def test_statistics_of_a_normalizer_travel_with_the_policy(
    load: Callable[..., Any], pendulum: tuple[Any, Any, Specs]
) -> None:
    params = load(train_params={"normalize_observations": True})
    learner: Any = build_agent(params, pendulum[2])
    worker: Any = build_agent(params, pendulum[2])
    learner.normalizer.means[0].assign([1.0, 2.0, 3.0])
    learner.normalizer.variances[0].assign([4.0, 5.0, 6.0])
    packed = variables.policy_variables(learner).read()
    variables.policy_variables(worker).assign(packed)
    np.testing.assert_array_equal(worker.normalizer.means[0], [1, 2, 3])
    np.testing.assert_array_equal(worker.normalizer.variances[0], [4, 5, 6])


def test_server_that_lost_the_policy_gets_the_last_one_again(
    pendulum: tuple[Any, Any, Specs], free_port: int, tmp_path: Path
) -> None:
    params, _, specs = pendulum
    agent = build_agent(params, specs)
    client = replay.connect(free_port)
    publisher = variables.PolicyPublisher(agent, client, RUN_ID)
    server = serve(tmp_path / "first", PACING, free_port)
    publisher.publish()
    server.stop()
    server = serve(tmp_path / "second", PACING, free_port)
    info = wait_for(lambda: replay.read_replay(client), "the second server")
    assert not info.has_policy
    # What the policy has become meanwhile was not published.
    for variable in agent.policy.variables():
        variable.assign(variable + 0.1)
    variables.PolicyGuard(publisher, client).check(info)
    policy = read_policy(client)
    server.stop()
    assert publisher.last is not None
    np.testing.assert_array_equal(policy.packed, publisher.last.packed)


def test_publishing_survives_a_server_that_goes_away(
    load: Callable[..., Any],
    pendulum: tuple[Any, Any, Specs],
    free_port: int,
    tmp_path: Path,
) -> None:
    # Large enough that a call is under way most of the time.
    params = load(train_params={"actor_fc_layer_params": [256, 256]})
    agent = build_agent(params, pendulum[2])
    server = serve(tmp_path / "first", PACING, free_port)
    publisher = variables.PolicyPublisher(agent, replay.connect(free_port), RUN_ID)
    is_over = threading.Event()

    def publish() -> None:
        while not is_over.is_set():
            agent.train_step_counter.assign_add(1)
            publisher.publish()

    def last_train_step() -> int:
        return 0 if publisher.last is None else publisher.last.train_step

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        wait_for(lambda: last_train_step() > 10, "a policy")
        server.stop()
        before = last_train_step()
        server = serve(tmp_path / "second", PACING, free_port)
        # The call for the one before has returned.
        wait_for(lambda: last_train_step() >= before + 2, "another policy", 30)
    finally:
        is_over.set()
    thread.join(30)
    assert not thread.is_alive()
    policy = read_policy(replay.connect(free_port))
    server.stop()
    assert policy.train_step > before


def insert(client: reverb.Client, *columns: Any) -> None:
    """Puts anything into the table of the policy, as any local user can."""
    client.insert(list(columns), {replay.VARIABLES_TABLE: 1.0})


def as_bytes(text: str) -> NDArray[np.uint8]:
    """Returns a text as a column of the table."""
    return np.frombuffer(text.encode(), np.uint8)


NUM_BYTES = 12
GOOD = np.arange(NUM_BYTES, dtype=np.uint8)
STRANGERS = {
    "another run": (as_bytes("0000"), np.int64(9), GOOD),
    "a longer id": (as_bytes(f"{RUN_ID} and more"), np.int64(9), GOOD),
    "without an id": (np.int64(9), GOOD),
    "another size": (as_bytes(RUN_ID), np.int64(9), GOOD[:-1]),
    "another dtype": (as_bytes(RUN_ID), np.int64(9), GOOD.astype(np.float32)),
    "a fraction of a step": (as_bytes(RUN_ID), np.float32(9.5), GOOD),
    "one number": (np.float64(1),),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_no_policy_of_this_run_is_refused_with_one_line(
    server: int, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = replay.connect(server)
    puller = variables.PolicyPuller(client, Line(), RUN_ID, NUM_BYTES)
    insert(client, *STRANGERS[name])
    for _ in range(3):
        assert puller.pull() is None
    assert [record.message.count("refused") for record in caplog.records] == [1]
    insert(client, as_bytes(RUN_ID), np.int64(7), GOOD)
    policy = puller.pull()
    assert policy is not None
    assert (policy.run_id, policy.train_step) == (RUN_ID, 7)
    np.testing.assert_array_equal(policy.packed, GOOD)


def test_a_row_without_the_dimension_of_time_is_refused(server: int) -> None:
    client = replay.connect(server)
    with client.trajectory_writer(1) as writer:
        writer.append([as_bytes(RUN_ID), np.int64(9), GOOD])
        # A single step instead of a slice of one.
        trajectory = [column[-1] for column in writer.history]
        writer.create_item(replay.VARIABLES_TABLE, 1.0, trajectory)
        writer.flush()
    puller = variables.PolicyPuller(client, Line(), RUN_ID, NUM_BYTES)
    assert puller.pull() is None


def test_a_policy_that_a_stranger_replaced_is_published_again(
    pendulum: tuple[Any, Any, Specs], server: int
) -> None:
    params, _, specs = pendulum
    client = replay.connect(server)
    learner, worker = build_agent(params, specs), build_agent(params, specs)
    publisher = variables.PolicyPublisher(learner, client, RUN_ID)
    guard = variables.PolicyGuard(publisher, client)
    policies = variables.PolicyClient(worker, client, RUN_ID)

    def check() -> None:
        info = replay.read_replay(client)
        assert info is not None
        guard.check(info)

    learner.train_step_counter.assign(7)
    publisher.publish()
    assert policies.pull()[1]
    before = variables.policy_variables(worker).read()
    insert(client, *STRANGERS["without an id"])
    # The worker goes on with the policy that it has.
    assert not policies.pull()[1]
    np.testing.assert_array_equal(variables.policy_variables(worker).read(), before)
    assert policies.train_step == 7
    check()
    assert policies.pull()[1]

    info = client.server_info()[replay.VARIABLES_TABLE]
    num_inserts = info.rate_limiter_info.insert_stats.completed
    check()  # One of this run is left alone.
    info = client.server_info()[replay.VARIABLES_TABLE]
    assert info.rate_limiter_info.insert_stats.completed == num_inserts
