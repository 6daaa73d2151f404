"""Renders an environment's episodes into video files."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import imageio
import numpy as np
from tf_agents.environments import py_environment

from tfagents_system.errors import UserError
from tfagents_system.host import headless

# Rendering on the CPU is slow, and more frames a second show little more.
TARGET_FPS = 25
DEFAULT_ENV_FPS = 30


class VideoRecorder:
    """Renders an environment's episodes into one mp4 file."""

    def __init__(self, env: py_environment.PyEnvironment, path: Path) -> None:
        """Opens the file.

        Args:
          env: Rendered after a reset and after steps.
          path: The mp4 file.
        """
        metadata = getattr(env, "metadata", None) or {}
        env_fps = metadata.get("render_fps") or metadata.get(
            "video.frames_per_second", DEFAULT_ENV_FPS
        )
        self._steps_per_frame = max(1, round(env_fps / TARGET_FPS))
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
