"""Imports TensorFlow, gym and PyBullet without their banners."""

from __future__ import annotations

import logging
import os
import re
import warnings

# Their progress reports say nothing about a training.
_LIBRARY = re.compile(r"site-packages/(tensorflow|tf_agents|portpicker)\b")


def quiet_imports() -> None:
    """Turns off banners that say nothing about this run; call it before the imports.

    - TensorFlow: that there is no GPU, that CUDA's parts register twice, and which
      CPU instructions it has (all of it C++ log; Python errors are not affected).
    - gym: that gymnasium exists; gym 0.23 is what TF-Agents 0.19 needs.
    - gym: that bounds given as float64 lose precision as float32, which is meant.
    - TensorFlow's policy export: that names like `0/reward` become `arg_0_reward`,
      and that TF-Agents' distributions must be importable to load a SavedModel.
    - TensorFlow's checkpoints: values that were not restored; whoever restores checks
      that all are, and says so in one line.
    - AutoGraph: that code which TF-Agents wrote compares with `is ()`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from gym_notices import notices
    except ImportError:
        pass
    else:
        notices.notices.clear()
    for message in (
        ".*Box bound precision lowered.*",
        "Encoding a StructuredValue with type",
        '"is( not)?" with ',
    ):
        warnings.filterwarnings("ignore", message=message)
    tensorflow = logging.getLogger("tensorflow")
    tensorflow.setLevel(logging.WARNING)
    tensorflow.addFilter(_is_not_of_a_failed_restore)
    logging.getLogger("absl").addFilter(_is_worth_logging)


def _is_not_of_a_failed_restore(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not message.startswith(
        ("Value in checkpoint could not be found", "Detecting that an object or model")
    )


def _is_worth_logging(record: logging.LogRecord) -> bool:
    if record.levelno <= logging.INFO and _LIBRARY.search(record.pathname):
        return False
    message = record.getMessage()
    return (
        "is not a valid tf.function parameter name" not in message
        and "with unsupported characters which will be renamed" not in message
    )
