"""Imports without banners: what is silenced, and what is not."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.host import quiet


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )


def test_tensorflow_reverb_and_gym_import_without_a_word() -> None:
    result = run(
        """
        from tfagents_system.host.quiet import quiet_imports
        quiet_imports()
        import gym
        import reverb
        import tensorflow as tf
        from tf_agents.environments import suite_gym
        suite_gym.load("Pendulum-v1").reset()
        tf.zeros(3) + 1
        """
    )
    assert (result.stdout, result.stderr) == ("", "")


def test_errors_and_warnings_of_the_users_are_not_silenced() -> None:
    result = run(
        """
        import warnings
        from tfagents_system.host.quiet import quiet_imports
        quiet_imports()
        import tensorflow as tf
        from absl import logging
        logging.set_verbosity(logging.INFO)
        logging.info("said by me")
        tf.get_logger().warning("said by TensorFlow")
        warnings.warn("said by my environment")
        """
    )
    for words in ("said by me", "said by TensorFlow", "said by my environment"):
        assert words in result.stderr


@pytest.mark.parametrize(
    ("path", "level", "message", "is_kept"),
    [
        ("/v/site-packages/tensorflow/x.py", logging.INFO, "Assets written", False),
        ("/v/site-packages/tf_agents/x.py", logging.INFO, "Saving", False),
        ("/v/site-packages/tf_agents/x.py", logging.WARNING, "Careful", True),
        ("/v/site-packages/tensorflow_like/x.py", logging.INFO, "Mine", True),
        ("/home/me/my_params.py", logging.INFO, "Mine", True),
        (
            "/v/site-packages/tensorflow/x.py",
            logging.WARNING,
            "`0/reward` is not a valid tf.function parameter name. Sanitizing to",
            False,
        ),
        (
            "/v/site-packages/tensorflow/x.py",
            logging.WARNING,
            "Function `f` contains input name(s) 0/r with unsupported characters "
            "which will be renamed to r in the SavedModel.",
            False,
        ),
    ],
)
def test_progress_reports_of_the_libraries_are_left_out(
    path: str, level: int, message: str, is_kept: bool
) -> None:
    quiet.quiet_imports()
    record = logging.LogRecord("absl", level, path, 1, message, None, None)
    assert bool(logging.getLogger("absl").filter(record)) == is_kept


def test_a_users_own_log_level_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    quiet.quiet_imports()
    result = run("import os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])")
    assert result.stdout == "0\n"
