"""Rendering without a screen: what is set for pygame and MuJoCo, and what stays."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.host import headless

VARIABLES = ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER", "MUJOCO_GL", "DISPLAY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # So that it is put back.
        monkeypatch.delenv(name)


def libraries(monkeypatch: pytest.MonkeyPatch, *installed: str) -> None:
    """Lets only some libraries be found."""
    monkeypatch.setattr(
        ctypes.util, "find_library", lambda name: name if name in installed else None
    )


def test_pygame_gets_no_screen_and_no_sound_card() -> None:
    headless.render_without_screen()
    assert os.environ["SDL_VIDEODRIVER"] == os.environ["SDL_AUDIODRIVER"] == "dummy"


@pytest.mark.parametrize(
    ("installed", "backend"),
    [
        (("EGL", "OpenGL", "OSMesa"), "egl"),
        (("EGL", "GL"), "egl"),
        (("EGL", "OSMesa"), "osmesa"),
        (("GL", "OSMesa"), "osmesa"),
        (("EGL",), None),
        ((), None),
    ],
)
def test_mujoco_gets_a_backend_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], backend: str | None
) -> None:
    libraries(monkeypatch, *installed)
    headless.render_without_screen()
    assert os.environ.get("MUJOCO_GL") == backend


@pytest.mark.parametrize(
    ("name", "value"), [("MUJOCO_GL", "mine"), ("MUJOCO_GL", ""), ("DISPLAY", ":0")]
)
def test_a_users_own_settings_stay(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    libraries(monkeypatch, "EGL", "GL")
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    before = dict(os.environ)
    headless.render_without_screen()
    assert dict(os.environ) == {**before, "SDL_AUDIODRIVER": "dummy"}


def test_pygame_renders_without_a_screen() -> None:
    code = (
        "from tfagents_system.host.headless import render_without_screen\n"
        "render_without_screen()\n"
        "import pygame\n"
        "pygame.init()\n"
        "print('size', pygame.display.set_mode((40, 30)).get_size())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.splitlines()[-1] == "size (40, 30)", result.stderr
