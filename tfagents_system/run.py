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
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if not __package__:  # Run as a script: our modules, not the files beside this one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tfagents_system.acting import episode
from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment.directory import Experiment, resolve_path
from tfagents_system.host import headless
from tfagents_system.host.quiet import quiet_imports

if TYPE_CHECKING:
    from tf_agents.environments import py_environment

# Rendering on the CPU is slow, and more frames a second show little more.
MAX_VIDEO_FPS = 25
DEFAULT_ENV_FPS = 30


def parse_args() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--exp_dir", required=True, help="experiment directory, e.g. logs/minitaur"
    )
    parser.add_argument(
        "--params", help="params file (default: the experiment's snapshot)"
    )
    parser.add_argument(
        "--config", help="JSON config (default: the experiment's snapshot)"
    )
    parser.add_argument("--num_episodes", type=int, default=5, help="default: 5")
    parser.add_argument(
        "--checkpoint",
        default="latest",
        help="folder in <exp_dir>/policies/checkpoints, latest (the default), or best",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the environment (default: 0)"
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


class VideoRecorder:
    """Renders an environment's episodes into one mp4 file."""

    def __init__(self, env: py_environment.PyEnvironment, path: Path) -> None:
        """Opens the file.

        Args:
          env: Rendered after a reset and after steps.
          path: The mp4 file.
        """
        import imageio

        metadata = getattr(env, "metadata", None) or {}
        env_fps = metadata.get("render_fps") or metadata.get(
            "video.frames_per_second", DEFAULT_ENV_FPS
        )
        self._steps_per_frame = max(1, round(env_fps / MAX_VIDEO_FPS))
        self._env = env
        self._num_steps = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = imageio.get_writer(
            path, fps=env_fps / self._steps_per_frame, macro_block_size=2
        )

    def on_reset(self) -> None:
        """Renders the first frame."""
        self._add_frame()

    def on_transition(self, *_: Any) -> None:
        """Renders every so many steps."""
        self._num_steps += 1
        if self._num_steps % self._steps_per_frame == 0:
            self._add_frame()

    def close(self) -> None:
        """Completes the file."""
        self._writer.close()

    def _add_frame(self) -> None:
        import numpy as np

        try:
            frame = np.asarray(self._env.render("rgb_array"))
        except NotImplementedError as error:
            raise UserError(
                "the environment cannot render rgb_array; use --no_video"
            ) from error
        except UserError:
            raise
        except Exception as error:  # What goes wrong depends on the library.
            traceback.print_exc()
            raise UserError(
                f"rendering failed, see above: {type(error).__name__}; use --no_video"
                + (f"; {headless.MUJOCO_HINT}" if "mujoco" in sys.modules else "")
            ) from error
        if frame.ndim != 3:
            raise UserError(
                f"the environment rendered an array of shape {frame.shape}, not a "
                "picture (height, width, 3); use --no_video"
            )
        # PyBullet's pictures are not always uint8.
        self._writer.append_data(frame[..., :3].astype(np.uint8))


def evaluate(args: argparse.Namespace, output: TextIO) -> None:
    """Runs the episodes and prints what they came to.

    Args:
      args: The command line.
      output: For the results.

    Raises:
      UserError: A file or checkpoint is missing, or the environment cannot render.
    """
    from tf_agents.policies import py_tf_eager_policy

    from tfagents_system.acting import evaluation
    from tfagents_system.environments import horizon, standard
    from tfagents_system.learning import policy_export
    from tfagents_system.processes import startup
    from tfagents_system.settings import configuration

    experiment = Experiment(resolve_path(args.exp_dir))
    if not experiment.root.is_dir():
        raise UserError(f"--exp_dir: no directory {args.exp_dir}")
    checkpoint = policy_export.find_checkpoint(experiment, args.checkpoint)
    config_path = resolve_path(args.config) if args.config else experiment.config
    params_path = resolve_path(args.params) if args.params else experiment.params
    config = configuration.load_config(config_path)
    # What the snapshot imports lies where it was copied from.
    has_run = not args.params and experiment.run.exists()
    source = startup.Run.load(experiment).params_folder if has_run else None
    params = configuration.load_params(params_path, config, source)
    params = horizon.complete(params, params_path, config_path)
    env = standard.make_eval_env(params, worker=0, seed=args.seed)
    saved_policy = py_tf_eager_policy.SavedModelPyTFEagerPolicy(
        str(experiment.policies / policy_export.GREEDY_POLICY),
        load_specs_from_pbtxt=True,
    )
    saved_policy.update_from_checkpoint(str(checkpoint))
    policy = episode.TFAgentsPolicy(saved_policy)

    results = []
    episodes: list[dict[str, Any]] = []
    # What renders with MuJoCo complains if it is closed by the end of Python only.
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
                print(
                    f"episode {index}: return {result.episode_return:.3f}, length "
                    f"{result.length}"
                    + (
                        ""
                        if result.is_success is None
                        else _describe(result.is_success)
                    )
                    + (f", {video}" if video else ""),
                    file=output,
                    flush=True,
                )
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


def _describe(is_success: bool) -> str:
    return ", success" if is_success else ", no success"


def _run_episode(env: Any, policy: Any, video: Path | None) -> Any:

    if video is None:
        return episode.run_episode(env, policy)
    recorder = VideoRecorder(env, video)
    try:
        return episode.run_episode(
            env, policy, [recorder.on_transition], recorder.on_reset
        )
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
