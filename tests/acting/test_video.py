"""Videos of real environments, read back from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gym
import imageio
import numpy as np
import pytest

from tfagents_system.acting.episode import run_episode
from tfagents_system.acting.policies import RandomPolicy
from tfagents_system.acting.video import VideoRecorder
from tfagents_system.environments import loaders
from tfagents_system.errors import UserError


def record(env: Any, path: Path) -> int:
    """Renders an episode of random actions into a file; returns its length."""
    policy = RandomPolicy(env.action_spec(), np.random.default_rng(0))
    recorder = VideoRecorder(env, path)
    try:
        return run_episode(
            env, policy, [recorder.on_transition], recorder.on_reset
        ).length
    finally:
        recorder.close()
        env.close()


def read(path: Path) -> tuple[Any, float]:
    """Returns a video's frames, (T, height, width, 3), and frames a second."""
    with imageio.get_reader(path) as reader:
        frames = np.stack([np.asarray(frame) for frame in reader])
        return frames, float(reader.get_meta_data()["fps"])


def test_video_shows_the_reset_and_every_step(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there.mp4"
    env = loaders.load("Pendulum-v1", seed=0, max_episode_steps=20)
    assert record(env, path) == 20
    frames, fps = read(path)
    assert frames.shape == (21, 500, 500, 3)
    assert fps == 30
    assert np.ptp(frames[0]) > 100  # A picture, not one colour.
    # The pendulum moves.
    assert (np.abs(frames[0].astype(int) - frames[-1]) > 100).any()


def test_quick_environment_keeps_its_speed_with_fewer_frames(tmp_path: Path) -> None:
    env = loaders.load("InvertedPendulumBulletEnv-v0", seed=0, max_episode_steps=20)
    assert env.metadata["video.frames_per_second"] == 60
    length = record(env, tmp_path / "video.mp4")
    frames, fps = read(tmp_path / "video.mp4")
    assert len(frames) == 1 + length // 2
    assert fps == 30


class Unrendered(gym.Env):
    """An environment whose render() returns or raises what it is told to."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, rendered: Any) -> None:
        self.rendered = rendered

    def reset(self) -> Any:
        return np.zeros(1, np.float32)

    def step(self, action: Any) -> Any:
        return np.zeros(1, np.float32), 1.0, True, {}

    def render(self, mode: str = "human") -> Any:
        if isinstance(self.rendered, Exception):
            raise self.rendered
        return self.rendered


@pytest.mark.parametrize(
    ("rendered", "message"),
    [
        (NotImplementedError(), "cannot render rgb_array; use --no_video"),
        (None, r"an array of shape \(\), not a picture .*; use --no_video"),
        (RuntimeError("no GPU"), "rendering failed.* RuntimeError; use --no_video"),
    ],
    ids=["not implemented", "no picture", "error"],
)
def test_environment_that_cannot_render_says_so(
    tmp_path: Path, rendered: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        record(loaders.wrap(Unrendered(rendered)), tmp_path / "video.mp4")
