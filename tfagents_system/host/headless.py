"""Rendering without a screen: set before pygame or MuJoCo is imported."""

from __future__ import annotations

import ctypes.util
import os
import sys

#: What to do where MuJoCo cannot make pictures.
MUJOCO_HINT = (
    "to render without a screen: apt install libegl1 libgl1-mesa-dri libopengl0, and "
    "set MUJOCO_GL=egl"
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
    # With a backend whose libraries are missing MuJoCo cannot even be imported.
    has = ctypes.util.find_library
    if has("EGL") and (has("OpenGL") or has("GL")):
        os.environ["MUJOCO_GL"] = "egl"
    elif has("OSMesa"):
        os.environ["MUJOCO_GL"] = "osmesa"
