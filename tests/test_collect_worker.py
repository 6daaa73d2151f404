"""A collect worker in this process, against a real Reverb server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import reverb
import tensorflow as tf

from tfagents_system.algorithm import sac
from tfagents_system.dataflow import replay, variables
from tfagents_system.dataflow.rate_limiter import Pacing
from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.experiment import Experiment
from tfagents_system.processes import collect_worker, startup


def test_a_new_policy_is_taken_over_within_an_episode(
    pendulum: tuple[Any, Any, Any],
    free_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collect_worker, "PULL_PERIOD_SECS", 0.0)
    params, env, specs = pendulum
    params.eval_period_itrs = 0
    last_step = params.num_iter * params.num_steps_per_iter
    codec = RowCodec(specs)
    server = reverb.Server(
        replay.make_tables(codec, Pacing(1000, 1000, 1.0, 1000.0)),
        port=free_port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(tmp_path)),
    )
    client = replay.connect(free_port)
    publisher = variables.PolicyPublisher(client)
    agent = sac.build_agent(params, specs)
    policy_variables = variables.policy_variables(agent)
    initial = policy_variables.read()
    # The mean is far beyond tanh's range: the newer policy always acts with the bound.
    for variable in agent.collect_policy.variables():
        value = 50.0 if "bias" in variable.name else 0.0
        variable.assign(tf.fill(variable.shape, value))
    newer = policy_variables.read()
    publisher.publish(variables.PublishedPolicy(1, initial))
    actions: list[float] = []

    def watch(transition: Any) -> None:
        actions.append(transition[1].action.item())
        if len(actions) == 50:
            publisher.publish(variables.PublishedPolicy(last_step, newer))

    monkeypatch.setattr(
        params, "train_observers_ctor", lambda port: ({}, {"mine": watch}, {})
    )
    experiment = Experiment(tmp_path / "experiment")
    status = startup.Status(experiment, "collect_worker_0")
    collect_worker.CollectWorker(
        "collect_worker_0",
        0,
        experiment,
        params,
        sac.build_agent(params, specs),
        (env, env),
        codec,
        client,
        free_port,
        0,
        status,
    ).run()
    server.stop()
    assert len(actions) == 200
    assert min(actions[:50]) < 1.9
    assert actions[51:] == [2.0] * 149
    assert status.get("policy_train_step") == last_step
