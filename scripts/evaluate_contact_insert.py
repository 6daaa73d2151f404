"""Evaluates policies for ContactInsert on the same episodes, and compares them.

    python scripts/evaluate_contact_insert.py zero down seek logs/contact_insert

Each POLICY is the experiment directory of a training, whose greedy policy acts, or a
script:

    zero   no residual, only the slow base motion to the believed goal
    down   straight down, wherever the goal is
    seek   above the believed goal, then down

Beside the share of successes the table has their numbers in the middle slot and beside
it, the shares of the other ends, the mean env steps, and the largest force of an
episode (a mean over an env step, N): its mean over the episodes, and the most.

All policies meet the same holders, the same errors of the goal and the same lags. The
intervals have 95 %: Wilson's of a success rate, and Agresti and Min's (2005) of the
difference between two policies on the same episodes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tfagents_system.environments.contact_insert import parameters
from tfagents_system.environments.contact_insert.reward import EndReason
from tfagents_system.environments.contact_insert.settings import read_settings
from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment.directory import Experiment, resolve_path
from tfagents_system.host.fast_imports import fast_imports
from tfagents_system.host.quiet import quiet_imports
from tfagents_system.run import clean_stdout
from tfagents_system.settings import configuration

DEFAULT_CONFIG = "config/contact_insert.json"
STARTS = {"high": 0, "medium": 1, "low": 2}
SCRIPTS = ("zero", "down", "seek")
#: Standard deviations of a normal distribution that hold 95 % of it.
Z_95 = 1.959964
PERCENT = 100


class Outcome(NamedTuple):
    """How an episode went.

    Attributes:
      end_reason: Why it ended.
      num_steps: Its env steps.
      peak_force: Largest mean force at the hand over an env step, N.
      slot: That the plate was in at the end, 0 in the middle, or None.
    """

    end_reason: EndReason
    num_steps: int
    peak_force: float
    slot: int | None


def wilson(successes: int, total: int) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of a rate."""
    rate, z2 = successes / total, Z_95**2
    center = (rate + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(rate * (1 - rate) / total + z2 / (4 * total**2))
    half *= Z_95 / (1 + z2 / total)
    return max(0.0, center - half), min(1.0, center + half)


def paired_difference(
    first: Sequence[bool], second: Sequence[bool]
) -> tuple[float, float, float]:
    """Returns how much more often the first succeeds, and the 95 % interval.

    Agresti and Min add half an episode to each of the four cells, so that the interval
    has a width where no episode tells the two apart.

    Args:
      first: Success in each episode.
      second: The same of the other policy, in the same episodes.
    """
    only_first = sum(a and not b for a, b in zip(first, second))
    only_second = sum(b and not a for a, b in zip(first, second))
    total = len(first) + 2
    difference = (only_first - only_second) / total
    discordant = only_first + only_second + 1
    half = Z_95 * math.sqrt(discordant / total - difference**2) / math.sqrt(total)
    raw = (only_first - only_second) / len(first)
    return raw, max(-1.0, difference - half), min(1.0, difference + half)


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("policies", nargs="+", metavar="POLICY")
    parser.add_argument(
        "--config",
        help="JSON config (default: the snapshot of the first experiment directory, or "
        f"{DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--checkpoint",
        default="latest",
        help="of the trainings: a folder in policies/checkpoints, latest (the default) "
        "or best",
    )
    parser.add_argument(
        "--robot", choices=["floating", "panda"], help="default: the config's"
    )
    parser.add_argument(
        "--start", choices=STARTS, default="high", help="default: %(default)s"
    )
    parser.add_argument(
        "--noise_level",
        type=float,
        default=1.0,
        help="factor on the error of the goal, 0 to 1 (default: 1)",
    )
    parser.add_argument("--episodes", type=int, default=200, help="default: 200")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    args = parser.parse_args()
    if args.episodes < 1:
        parser.error("--episodes must be 1 or more")
    if args.seed < 0:
        parser.error("--seed must be 0 or more")
    return args


def is_script(name: str) -> bool:
    """Returns whether a POLICY is a script."""
    return name in SCRIPTS


def experiment_of(name: str) -> Experiment:
    """Returns the experiment that a POLICY names.

    Raises:
      UserError: It is neither a script nor a directory.
    """
    experiment = Experiment(resolve_path(name))
    if not experiment.root.is_dir():
        raise UserError(
            f"{name} is neither an experiment directory nor zero, down or seek"
        )
    return experiment


def load_config(args: argparse.Namespace) -> dict[str, Any]:
    """Loads the JSON, with the robot of the command line.

    Raises:
      UserError: It is not for ContactInsert.
    """
    path = resolve_path(args.config or DEFAULT_CONFIG)
    trained = [experiment_of(name) for name in args.policies if not is_script(name)]
    if trained and not args.config:
        path = trained[0].config
    config = configuration.load_config(path)
    try:
        read_settings(config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return {**config, "robot": args.robot} if args.robot else config


def shapes(specs: Any) -> list[tuple[int, ...]]:
    """Returns the shape of each array of a nest."""
    import tensorflow as tf

    return [tuple(spec.shape) for spec in tf.nest.flatten(specs)]


def load_policy(name: str, checkpoint: str, env: Any) -> Any:
    """Makes a policy to act with.

    Args:
      name: A script or an experiment directory.
      checkpoint: Of the training.
      env: What it is to act in.

    Raises:
      UserError: There is no such policy, or it is for another environment.
    """
    from tfagents_system.acting import policies
    from tfagents_system.environments.contact_insert import scripted
    from tfagents_system.learning import policy_export

    if is_script(name):
        return scripted.ScriptedPolicy(name, env.settings.obs_scale)
    experiment = experiment_of(name)
    path = policy_export.find_checkpoint(experiment, checkpoint)
    policy = policy_export.load_greedy_policy(experiment, path)
    if shapes(policy.time_step_spec.observation) != shapes(env.observation_spec()):
        raise UserError(
            f"the policy of {name} takes other observations than this environment "
            "makes; use the --config it was trained with"
        )
    return policies.TFAgentsPolicy(policy)


def run_episodes(env: Any, policy: Any, num_episodes: int, seed: int) -> list[Outcome]:
    """Runs episodes that depend on nothing but seed and policy.

    Args:
      env: A ContactInsertEnvironment.
      policy: Acts.
      num_episodes: How many.
      seed: Of all of them.
    """
    from tfagents_system.acting.episode import run_episode
    from tfagents_system.environments.standard import seed_episode

    outcomes = []
    for episode in range(num_episodes):
        seed_episode(env, seed, episode)
        result = run_episode(env, policy)
        info = env.get_info()
        outcomes.append(
            Outcome(
                EndReason(info["end_reason"]),
                result.length,
                info["peak_force"],
                info["slot"],
            )
        )
    return outcomes


def describe(name: str, outcomes: Sequence[Outcome]) -> str:
    """Returns a line of the table."""
    total = len(outcomes)
    reasons = [outcome.end_reason for outcome in outcomes]
    low, high = wilson(reasons.count(EndReason.GOAL), total)
    goal, time_out, overload = (
        PERCENT * reasons.count(reason) / total
        for reason in (EndReason.GOAL, EndReason.TIME_OUT, EndReason.OVERLOAD)
    )
    slots = [o.slot for o in outcomes if o.end_reason == EndReason.GOAL]
    beside = sum(slot != 0 for slot in slots)
    forces = [outcome.peak_force for outcome in outcomes]
    steps = sum(outcome.num_steps for outcome in outcomes) / total
    return (
        f"{name:20} {goal:5.1f} [{PERCENT * low:4.1f}, {PERCENT * high:5.1f}] "
        f"{len(slots) - beside:6} {beside:6} {time_out:10.1f} {overload:10.1f} "
        f"{steps:7.1f} {sum(forces) / total:6.1f} {max(forces):6.1f}"
    )


HEADER = (
    f"{'':20} {'success %':>19} {'middle':>6} {'beside':>6} {'time out %':>10} "
    f"{'overload %':>10} {'steps':>7} {'peak N':>6} {'most N':>6}"
)


def short_name(policy: str) -> str:
    """Returns the name of a policy for the table."""
    return policy if is_script(policy) else Path(policy).resolve().name


def evaluate(args: argparse.Namespace, output: TextIO) -> None:
    """Evaluates all policies and prints the table.

    Args:
      args: The command line.
      output: For the table.

    Raises:
      UserError: A policy or the config cannot be had.
    """
    parameters.check("noise_level", args.noise_level)
    config = load_config(args)
    with fast_imports():
        from tfagents_system.environments.contact_insert.environment import (
            ContactInsertEnvironment,
        )

    env = ContactInsertEnvironment(
        config, noise_level=args.noise_level, forced_init_idx=STARTS[args.start]
    )
    with contextlib.closing(env):
        loaded = [load_policy(name, args.checkpoint, env) for name in args.policies]
        print(
            f"{args.episodes} episodes from the {args.start} start, seed {args.seed}: "
            f"robot {env.settings.robot}, slots of {1000 * env.settings.slot_gap:g} "
            f"mm, noise level {args.noise_level:g}",
            file=output,
        )
        print(HEADER, file=output)
        successes = []
        for name, policy in zip(args.policies, loaded):
            outcomes = run_episodes(env, policy, args.episodes, args.seed)
            print(describe(short_name(name), outcomes), file=output, flush=True)
            successes.append(
                [outcome.end_reason == EndReason.GOAL for outcome in outcomes]
            )
    pairs = itertools.combinations(zip(args.policies, successes), 2)
    for (name, first), (other, second) in pairs:
        raw, low, high = (PERCENT * d for d in paired_difference(first, second))
        print(
            f"{short_name(name)} - {short_name(other)}: {raw:+.1f} points "
            f"[{low:+.1f}, {high:+.1f}]",
            file=output,
        )


def main() -> int:
    """Runs from the command line."""
    args = parse_args()
    quiet_imports()
    with clean_stdout() as output:
        evaluate(args, output)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
