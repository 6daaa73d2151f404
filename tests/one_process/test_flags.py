"""The flags of the one-process mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfagents_system.errors import UserError
from tfagents_system.one_process import flags

# The example of off-policy's README.
EXAMPLE = (
    "--logdir ant --env Ant-v2 --policy_lr 3e-4 --q_lr 3e-4 --alpha_lr 3e-4 "
    "--reward_scale 1.0 --discount 0.99 --tau 5e-3 --target_entropy -8.0 "
    "--target_delay 1 --buffer_size 1000000 --episodes_per_eval 10 "
    "--warm_up_steps 10000 --batch_size 256 --max_to_keep 5 "
    "--checkpoint_interval 10000 --iterations 1000000 --log_interval 10000"
)
DEFAULTS = {name: flag.default for name, flag in flags.FLAGS.items()}


def parse(line: str) -> dict[str, Any]:
    """Parses a command line without --logdir."""
    return flags.parse(["--logdir", "runs", *line.split()])[1]


def test_the_archived_example_is_read_and_its_values_are_the_defaults() -> None:
    logdir, given = flags.parse(EXAMPLE.split())
    assert logdir == Path("ant")
    assert given.pop("env") == "Ant-v2"
    assert given.pop("target_entropy") == -8.0
    assert len(given) == 15
    assert given == {name: DEFAULTS[name] for name in given}


def test_only_what_is_given_is_returned() -> None:
    assert parse("") == {}
    assert parse("--hidden 64 32 --seed 3") == {"hidden": [64, 32], "seed": 3}


def test_unknown_flags_are_kept_for_the_algorithm() -> None:
    line = "--horizon 5 --my_name text --my_list=[1,2] --my_switch --my_number -3.5"
    assert parse(f"{line} --params my.py") == {
        "params": "my.py",
        "horizon": 5,
        "my_name": "text",
        "my_list": [1, 2],
        "my_switch": True,
        "my_number": -3.5,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--polcy_lr 1e-3", "unknown flag --polcy_lr; did you mean --policy_lr?"),
        ("--target_tau 5e-3", "unknown flag --target_tau; here it is --tau"),
        ("--normalized_obs", "here it is normalize_observations in the train_params"),
        ("--use_her 1", "unknown flag --use_her; nothing reads it without --params"),
        ("--batchsize 3", "did you mean --batch_size?"),
        ("stray", "stray belongs to no flag"),
        ("--params my.py --my_flag 1 2", "2 belongs to no flag"),
        ("--config x.json", "--config needs --params"),
    ],
)
def test_mistakes_are_one_clear_line(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        parse(line)


@pytest.mark.parametrize(
    "line", ["--batch_size 0", "--tau 2", "--discount x", "--seed -1", "--hidden 0"]
)
def test_values_out_of_range_are_refused(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(line)
    assert end.value.code == 2
    assert line.split()[0] in capsys.readouterr().err


def test_some_flags_may_change() -> None:
    saved = {**DEFAULTS, "mine": 1, "params": "/before/p.py", "config": "/before/c"}
    flags.refuse_changes({"iterations": 7, "log_interval": 3, "mine": 1}, saved)
    flags.refuse_changes({"params": "/now/p.py", "config": "/now/c"}, saved)


@pytest.mark.parametrize("changed", [{"tau": 0.2}, {"mine": 2}, {"seed": 5}])
def test_what_cannot_change_is_refused_by_name(changed: dict[str, Any]) -> None:
    saved = {**DEFAULTS, "mine": 1}
    ((name, value),) = changed.items()
    message = f"^--{name} is {value}, but .* begun with {saved[name]}; leave it out"
    with pytest.raises(UserError, match=message):
        flags.refuse_changes(changed, saved)


@pytest.mark.parametrize("name", ["params", "config", "my_flag"])
def test_what_a_training_was_begun_without_cannot_come_later(name: str) -> None:
    with pytest.raises(UserError, match=f"^--{name} is new, but .* without it"):
        flags.refuse_changes({name: "new"}, DEFAULTS)
