"""Rendering without a screen: set before pygame or MuJoCo is imported."""

from __future__ import annotations

import ctypes.util
import os
import sys


def render_without_screen() -> None:
    """Sets what libraries read when they are imported; a user's own settings stay.

    - pygame, which renders gym's classic environments: no screen, no sound card.
    - MuJoCo, of gymnasium and dm_control: without a DISPLAY its default, GLFW, cannot
      render. EGL uses a GPU or Mesa's software renderer, OSMesa is software only.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return
    for backend, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if "MUJOCO_GL" not in os.environ and ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = backend
