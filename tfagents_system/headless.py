"""Rendering without a screen: set before pygame or MuJoCo is imported."""

from __future__ import annotations

import ctypes.util
import os
import sys

#: What a machine without a screen needs for MuJoCo's pictures.
MUJOCO_HINT = (
    "see that MuJoCo can: apt install libegl1 libgl1-mesa-dri libopengl0, and set "
    "MUJOCO_GL to egl"
)


def render_without_screen() -> None:
    """Sets what libraries read when they are imported; a user's own settings stay.

    - pygame, which renders gym's classic environments: no screen, no sound card.
    - MuJoCo, of gymnasium and dm_control: without a DISPLAY its default, GLFW, cannot
      render. EGL uses a GPU or Mesa's software renderer, OSMesa is software only.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    if (
        sys.platform != "linux"
        or os.environ.get("DISPLAY")
        or "MUJOCO_GL" in os.environ
    ):
        return
    for backend, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = backend
            return
