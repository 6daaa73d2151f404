"""Policies on disk: what is exported, found and removed."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tf_agents.policies import greedy_policy, policy_saver, py_tf_eager_policy

from tests.learning.helpers import make_batch
from tfagents_system.dataflow import rows
from tfagents_system.errors import NotSaved, UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.experiment.status_file import CollectWorkerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.learning import policy_export
from tfagents_system.learning.build import build_agent


def test_old_policy_checkpoints_go_but_for_the_best(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    for step in range(0, 1000, 100):
        path = experiment.policy_checkpoints / f"policy_checkpoint_{step:010d}"
        path.mkdir(parents=True)
    (experiment.policy_checkpoints / "policy_checkpoint_mine").mkdir()
    assert policy_export.best_checkpoint(experiment) is None
    for worker, best in enumerate([(3.0, 290), (2.0, 500)]):
        name = f"collect_worker_{worker}"
        status = StatusWriter(experiment, name, CollectWorkerStatus)
        with status.edit(write_now=True) as value:
            value.best_eval_return, value.best_eval_train_step = best
    policy_export.remove_old_checkpoints(experiment, num_kept=0)
    assert len(policy_export.list_checkpoints(experiment)) == 10
    policy_export.remove_old_checkpoints(experiment, num_kept=2)
    kept = [int(name[-10:]) for name in policy_export.list_checkpoints(experiment)]
    assert kept == [300, 800, 900]
    assert policy_export.find_checkpoint(experiment, "best").name.endswith("0300")
    assert (experiment.policy_checkpoints / "policy_checkpoint_mine").exists()


def test_exported_policy_is_found_and_acts_like_the_agent(
    pendulum: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    params, env, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    experiment.make()
    agent = build_agent(params, specs)
    exporter = policy_export.PolicyExporter(experiment, agent)
    exporter.export_saved_models()
    codec = rows.RowCodec(specs)
    for seed in range(3):
        agent.train(make_batch(codec, seed))
    exporter.export_checkpoint()
    path = policy_export.find_checkpoint(experiment, "latest")
    assert path.name == "policy_checkpoint_0000000003"
    assert policy_export.find_checkpoint(experiment, path.name) == path
    loaded = py_tf_eager_policy.SavedModelPyTFEagerPolicy(
        str(experiment.policies / "greedy_policy"), load_specs_from_pbtxt=True
    )
    loaded.update_from_checkpoint(str(path))
    own = py_tf_eager_policy.PyTFEagerPolicy(
        greedy_policy.GreedyPolicy(agent.policy), use_tf_function=True
    )
    time_step = env.reset()
    np.testing.assert_allclose(
        loaded.action(time_step).action, own.action(time_step).action, rtol=1e-6
    )


def test_missing_policy_checkpoint_lists_what_there_is(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    with pytest.raises(UserError, match="has training begun"):
        policy_export.find_checkpoint(experiment, "latest")
    (experiment.policy_checkpoints / "policy_checkpoint_0000000005").mkdir(parents=True)
    with pytest.raises(UserError, match="policy_checkpoint_0000000005"):
        policy_export.find_checkpoint(experiment, "policy_checkpoint_5")


def test_full_disk_leaves_no_policy_checkpoint_and_the_next_one_is_written(
    pendulum: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    params, _, specs = pendulum
    experiment = Experiment(tmp_path / "exp")
    experiment.make()
    exporter = policy_export.PolicyExporter(experiment, build_agent(params, specs))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(NotSaved, match="no checkpoint"):
            exporter.export_checkpoint()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert policy_export.list_checkpoints(experiment) == []
    exporter.export_checkpoint()
    names = policy_export.list_checkpoints(experiment)
    assert names == ["policy_checkpoint_0000000000"]


def test_an_export_does_not_bring_back_a_directory_that_was_moved(
    begun: tuple[Experiment, Any, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment, _, agent = begun
    moved = Experiment(tmp_path / "moved")
    save = policy_saver.PolicySaver.save

    def move_and_save(saver: Any, path: str) -> None:
        if experiment.root.exists():
            experiment.root.rename(moved.root)
        save(saver, path)

    monkeypatch.setattr(policy_saver.PolicySaver, "save", move_and_save)
    with pytest.raises(NotSaved):  # The second policy has no place any more.
        policy_export.PolicyExporter(experiment, agent).export_saved_models()
    assert not experiment.root.exists()
    assert (moved.policies / "greedy_policy" / "saved_model.pb").is_file()


def test_a_policy_that_is_not_exported_yet_is_one_line(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path)
    with pytest.raises(UserError, match="exported with the first checkpoint"):
        policy_export.load_greedy_policy(experiment, tmp_path)
