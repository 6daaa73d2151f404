"""The evaluation of ContactInsert: intervals, pairing, checkpoints and mistakes."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import evaluate_contact_insert as script
import pytest

from tests.conftest import REPOSITORY
from tfagents_system.algorithm import specs
from tfagents_system.environments import hooks
from tfagents_system.environments.contact_insert.environment import (
    ContactInsertEnvironment,
)
from tfagents_system.environments.contact_insert.scripted import (
    SCRIPTS,
    ScriptedPolicy,
)
from tfagents_system.errors import UserError
from tfagents_system.experiment.directory import Experiment
from tfagents_system.learning import policy_export
from tfagents_system.learning.build import build_agent
from tfagents_system.settings import params_file
from tfagents_system.train_params_base import TrainParamsBase

PARAMS = REPOSITORY / "tfagents_system" / "contact_insert_params.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/evaluate_contact_insert.py", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(16, 50, 0.208, 0.458), (32, 40, 0.652, 0.895), (0, 10, 0.0, 0.278)],
)
def test_wilsons_interval(successes: int, total: int, low: float, high: float) -> None:
    assert script.wilson(successes, total) == pytest.approx((low, high), abs=1e-3)


def test_the_paired_interval_is_agresti_and_mins() -> None:
    first = [True] * 60 + [False] * 40
    second = [True] * 45 + [False] * 15 + [True] * 5 + [False] * 35
    raw, low, high = script.paired_difference(first, second)
    assert raw == pytest.approx(0.10)
    # 15.5 and 5.5 of 102 tell the two apart.
    error = math.sqrt(21 / 102 - (10 / 102) ** 2) / math.sqrt(102)
    assert (low + high) / 2 == pytest.approx(10 / 102)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=1e-3)
    same = script.paired_difference(first, first)
    assert same[0] == 0
    assert same[1] < 0 < same[2]


def test_the_scripts_are_those_of_the_environment() -> None:
    assert list(script.SCRIPTS) == list(SCRIPTS)


def test_policies_meet_the_same_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    env = ContactInsertEnvironment({}, forced_init_idx=0)
    met: dict[str, list[Any]] = {"zero": [], "down": []}
    for name, episodes in met.items():
        policy = ScriptedPolicy(name, is_scaled=True)
        act = policy.act

        def note(time_step: Any, act: Any = act, episodes: list[Any] = episodes) -> Any:
            if time_step.is_first():
                lags = list(env._lags)
                env._lags = iter(lags)
                episodes.append((env._holder_pose, env._believed, lags))
            return act(time_step)

        monkeypatch.setattr(policy, "act", note)
        script.run_episodes(env, policy, 3, seed=5)
    env.close()
    assert met["zero"] == met["down"]
    assert met["zero"][0] != met["zero"][1]


def test_a_checkpoint_is_compared_with_a_script(tmp_path: Path) -> None:
    config = {"horizon": 10, "train_params": {"actor_fc_layer_params": [8]}}
    params = params_file.load_params(PARAMS, config, TrainParamsBase)
    env = hooks.make_collect_env(params, worker=0, seed=0)
    agent = build_agent(params, specs.read_specs(env))
    env.close()
    experiment = Experiment(tmp_path / "trained")
    experiment.make()
    experiment.config.write_text(json.dumps(config))
    exporter = policy_export.PolicyExporter(experiment, agent)
    exporter.export_saved_models()
    exporter.export_checkpoint()
    result = run(str(experiment.root), "down", "--episodes", "2", "--seed", "1")
    assert result.returncode == 0, result.stderr
    first, _, *rows, difference = result.stdout.splitlines()
    assert first == (
        "2 episodes from the high start, seed 1: robot floating, slots of 100 mm, "
        "noise level 1"
    )
    assert [row.split()[0] for row in rows] == ["trained", "down"]
    # Nobody inserts a plate within 10 steps.
    assert all(" 0.0 [ 0.0,  65.8]" in row for row in rows)
    assert all(row.split()[9] == "10.0" for row in rows)
    assert difference.startswith("trained - down: +0.0 points")
    env = ContactInsertEnvironment({"history_length": 4})
    with contextlib.closing(env), pytest.raises(UserError, match="other observations"):
        script.load_policy(str(experiment.root), "latest", env)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "error: nobody is neither an experiment directory nor zero"),
        (["seek", "--config", "no.json"], "no.json"),
        (["seek", "--noise_level", "2"], "error: noise_level must be a number in"),
        (["seek", "--episodes", "0"], "--episodes must be 1 or more"),
        (["seek", "--robot", "ur5"], "invalid choice: 'ur5'"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
