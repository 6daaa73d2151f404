"""Evaluates a policy checkpoint: returns, lengths, and a video of each episode.

    python tfagents_system/run.py --params tfagents_system/minitaur_params.py \
        --exp_dir logs/minitaur --config config/minitaur.json \
        --num_episodes 5 --checkpoint policy_checkpoint_0000500000 --seed 108

Needs no Reverb and no daemontools, so it works on macOS too.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

if not __package__:  # Run as a script: our modules, not the files beside this one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment.directory import Experiment, resolve_path
from tfagents_system.host import headless
from tfagents_system.host.fast_imports import fast_imports
from tfagents_system.host.quiet import quiet_imports


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-e",
        "--exp_dir",
        required=True,
        help="experiment directory, e.g. logs/minitaur",
    )
    parser.add_argument(
        "-p",
        "--params",
        help="params file; without it the params.py of --exp_dir is run, so be sure "
        "whose directory that is",
    )
    parser.add_argument(
        "-c", "--config", help="JSON config (default: the experiment's snapshot)"
    )
    parser.add_argument(
        "-n", "--num_episodes", type=int, default=25, help="default: 25"
    )
    parser.add_argument(
        "--checkpoint",
        default="latest",
        help="folder in <exp_dir>/policies/checkpoints, latest (the default), or best",
    )
    parser.add_argument(
        "--seed", type=int, default=108, help="seed of the environment (default: 108)"
    )
    parser.add_argument("--no_video", action="store_true", help="make no videos")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of text"
    )
    args = parser.parse_args()
    if args.num_episodes < 1:
        parser.error("--num_episodes must be 1 or more")
    if args.seed < 0:
        parser.error("--seed must be 0 or more")
    return args


@contextlib.contextmanager
def clean_stdout() -> Iterator[TextIO]:
    """Keeps stdout for results: what libraries print there goes to stderr.

    PyBullet prints from C++, so the file descriptor itself is redirected.

    Yields:
      A stream to the real stdout.
    """
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(real), "w") as stream:
            yield stream
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)


def evaluate(args: argparse.Namespace, output: TextIO) -> None:
    """Runs the episodes and prints their returns.

    Args:
      args: The command line.
      output: For the results.

    Raises:
      UserError: A file or checkpoint is missing, or the environment cannot render.
    """
    # Here, so that --help is quick and mistakes are found at once.
    with fast_imports():
        from tfagents_system.acting import evaluation, policies
        from tfagents_system.environments import hooks
        from tfagents_system.learning import policy_export

    experiment = Experiment(resolve_path(args.exp_dir))
    if not experiment.root.is_dir():
        raise UserError(f"--exp_dir: no directory {args.exp_dir}")
    checkpoint = policy_export.find_checkpoint(experiment, args.checkpoint)
    env = hooks.make_eval_env(_load_params(args, experiment), worker=0, seed=args.seed)
    policy = policies.TFAgentsPolicy(
        policy_export.load_greedy_policy(experiment, checkpoint)
    )

    results = []
    episodes: list[dict[str, Any]] = []
    # What renders with MuJoCo complains if only the end of Python closes it.
    with contextlib.closing(env):
        for index in range(args.num_episodes):
            name = f"{checkpoint.name}_seed{args.seed}_episode{index}.mp4"
            video = None if args.no_video else experiment.videos / name
            result = _run_episode(env, policy, video)
            results.append(result)
            episodes.append(
                {**dataclasses.asdict(result), "video": str(video) if video else None}
            )
            if not args.json:
                line = f"episode {index}: {_describe(result)}"
                print(line + (f", {video}" if video else ""), file=output, flush=True)
    summary = evaluation.summarize(results)
    if args.json:
        report = {
            "checkpoint": checkpoint.name,
            "seed": args.seed,
            **dataclasses.asdict(summary),
            "episodes": episodes,
        }
        print(json.dumps(report, indent=2), file=output)
    else:
        print(f"{checkpoint.name}: {summary}", file=output)


def _load_params(args: argparse.Namespace, experiment: Experiment) -> Any:
    """Loads the `TrainParams`, with a horizon: as given, or from the snapshots."""
    from tfagents_system.environments import horizon
    from tfagents_system.experiment import run_file
    from tfagents_system.settings import configuration, params_file
    from tfagents_system.train_params_base import TrainParamsBase

    config_path = resolve_path(args.config) if args.config else experiment.config
    params_path = resolve_path(args.params) if args.params else experiment.params
    config = configuration.load_config(config_path)
    # What a snapshot imports lies where it was copied from.
    source = None if args.params else run_file.params_folder(experiment)
    params = params_file.load_params(params_path, config, TrainParamsBase, source)
    return horizon.complete(params, params_path, config_path)


def _describe(result: Any) -> str:
    line = f"return {result.episode_return:.3f}, length {result.length}"
    if result.is_success is None:
        return line
    return line + (", success" if result.is_success else ", no success")


def _run_episode(env: Any, policy: Any, video: Path | None) -> Any:
    from tfagents_system.acting.episode import run_episode
    from tfagents_system.acting.video import VideoRecorder

    if video is None:
        return run_episode(env, policy)
    recorder = VideoRecorder(env, video)
    try:
        return run_episode(env, policy, [recorder.on_transition], recorder.on_reset)
    finally:
        recorder.close()


def main() -> int:
    """Runs from the command line."""
    args = parse_args()
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"{sys.executable} has no TensorFlow; run scripts/setup.sh, then "
            "source .venv/bin/activate"
        )
    quiet_imports()
    headless.render_without_screen()
    with clean_stdout() as output:
        evaluate(args, output)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
