"""The flags of train.py: names and defaults are off-policy's."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from tfagents_system.errors import UserError

Type = Callable[[str], Any]


def _number(convert: Callable[[str], Any], low: float, high: float = 1e300) -> Type:
    def read(text: str) -> Any:
        value = convert(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    # What argparse calls it where `convert` fails.
    read.__name__ = convert.__name__
    return read


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag that takes one value, or several.

    Attributes:
      type: Converts and checks its text.
      default: Without --params; None: see `help`.
      help: What it means, with its unit.
      is_fixed: Whether a directory keeps the value that it was begun with.
      is_list: Whether it takes several values.
    """

    type: Type
    default: str | int | float | list[int] | None
    help: str
    is_fixed: bool = True
    is_list: bool = False


POSITIVE = _number(int, 1)
RATE = _number(float, 1e-30)

#: Of the agent and its environment: `FlagParams` reads these.
AGENT_FLAGS = {
    "env": Flag(str, None, "name of the environment, as `loaders.load` has it"),
    "policy_lr": Flag(RATE, 3e-4, "learning rate of the policy"),
    "q_lr": Flag(RATE, 3e-4, "learning rate of the Q functions"),
    "alpha_lr": Flag(RATE, 3e-4, "learning rate of the temperature alpha"),
    "alpha": Flag(RATE, 1.0, "first temperature alpha; off-policy's was 0.1"),
    "critic_loss": Flag(str, "squared", "or log_cosh, which was off-policy's"),
    "reward_scale": Flag(RATE, 1.0, "factor on the rewards"),
    "discount": Flag(_number(float, 0.0, 1.0), 0.99, "discount factor"),
    "tau": Flag(_number(float, 1e-30, 1.0), 5e-3, "weight of the new Q in its target"),
    "target_entropy": Flag(float, None, "in nats (default: -dim(action))"),
    "target_delay": Flag(POSITIVE, 1, "gradient steps between updates of the target"),
    "batch_size": Flag(POSITIVE, 256, "transitions in a batch"),
    "hidden": Flag(POSITIVE, [256, 256], "units of each hidden layer", is_list=True),
}
#: Of the loop.
LOOP_FLAGS = {
    "buffer_size": Flag(POSITIVE, 1_000_000, "transitions that the replay holds"),
    "warm_up_steps": Flag(_number(int, 0), 10_000, "env steps with random actions"),
    "seed": Flag(_number(int, 0, 2**31 - 1), 0, "of everything that is random"),
    "episodes_per_eval": Flag(POSITIVE, 10, "episodes of an evaluation", False),
    "max_to_keep": Flag(POSITIVE, 5, "checkpoints to keep, the newest", False),
    "checkpoint_interval": Flag(
        POSITIVE, 10_000, "iterations between checkpoints; each begins a new episode"
    ),
    "iterations": Flag(POSITIVE, 1_000_000, "env steps of the whole training", False),
    "log_interval": Flag(POSITIVE, 10_000, "iterations between evaluations", False),
}
FLAGS = {**AGENT_FLAGS, **LOOP_FLAGS}
NAMES = (*FLAGS, "params", "config", "logdir")
# What off-policy's later versions called it, and what it is here.
RENAMED = {
    "target_tau": "--tau",
    "normalized_obs": "normalize_observations in the train_params of a --config",
}


@dataclasses.dataclass(frozen=True)
class Loop:
    """The values of LOOP_FLAGS."""

    iterations: int
    buffer_size: int
    warm_up_steps: int
    seed: int
    episodes_per_eval: int
    max_to_keep: int
    checkpoint_interval: int
    log_interval: int


def parse(arguments: Sequence[str] | None = None) -> tuple[Path, dict[str, Any]]:
    """Reads the command line.

    Args:
      arguments: The command line; None: this process's.

    Returns:
      The log directory, and the flags that were given, by name. Unknown flags belong
      to the params file: their values are read as JSON, or are text.

    Raises:
      UserError: A flag that looks like a misspelt one or that nothing reads, or a word
        that belongs to no flag.
    """
    parser = argparse.ArgumentParser(
        description="Trains SAC in one process. The same command resumes.",
        epilog="--horizon N is the number of env steps of the longest episode, for an "
        "environment without a time limit. Any other flag is for a params file: it is "
        "kept in kwargs.json and in env_config.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--logdir",
        type=Path,
        required=True,
        help="log directory; its params.py, if "
        "it has one, is run unless --params names another",
    )
    for name, flag in FLAGS.items():
        default = "" if flag.default is None else f" (default: {flag.default})"
        parser.add_argument(
            f"--{name}",
            type=flag.type,
            help=flag.help + default,
            nargs="+" if flag.is_list else None,
        )
    parser.add_argument("--params", help="a params file, in place of these")
    parser.add_argument("--config", help="its JSON")
    known, rest = parser.parse_known_args(arguments)
    given = vars(known)
    logdir: Path = given.pop("logdir")
    if "config" in given and "params" not in given:
        raise UserError("--config needs --params")
    unknown = _read_unknown(rest)
    if "params" not in given and not (logdir / "params.py").exists():
        _refuse_unread(unknown)
    return logdir, {**given, **unknown}


def _refuse_unread(unknown: dict[str, Any]) -> None:
    """Refuses flags that only a params file would read."""
    for name in unknown.keys() - {"horizon"}:
        raise UserError(f"unknown flag --{name}; nothing reads it without --params")


def _read_unknown(words: Sequence[str]) -> dict[str, Any]:
    """Reads `--name value`, `--name=value` and `--name` (which is true)."""
    unknown: dict[str, Any] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
            if name in RENAMED:
                raise UserError(f"unknown flag --{name}; here it is {RENAMED[name]}")
            if close := difflib.get_close_matches(name, NAMES, n=1, cutoff=0.75):
                raise UserError(f"unknown flag --{name}; did you mean --{close[0]}?")
            unknown[name] = _read_value(value) if has_value else True
        elif name and unknown[name] is True:
            unknown[name] = _read_value(word)
        else:
            raise UserError(f"{word} belongs to no flag")
    return unknown


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def refuse_changes(given: dict[str, Any], saved: dict[str, Any]) -> None:
    """Refuses flags that differ from those a training was begun with.

    Args:
      given: From the command line.
      saved: kwargs.json of the training that is resumed.

    Raises:
      UserError: One of them cannot change.
    """
    for name, value in given.items():
        if name not in saved:
            before, is_changed = "without it", True
        else:
            before = f"with {saved[name]}"
            # A file may move; what is in it counts.
            is_file = name in ("params", "config")
            is_fixed = name not in FLAGS or FLAGS[name].is_fixed
            is_changed = is_fixed and not is_file and saved[name] != value
        if is_changed:
            raise UserError(
                f"--{name} is {value}, but this --logdir was begun {before}; leave it "
                "out, or choose a new --logdir"
            )
