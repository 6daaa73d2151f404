"""Imports TensorFlow and what comes with it in less time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def fast_imports() -> Iterator[None]:
    """Collects no garbage while modules are imported, and never looks at them again.

    An import makes a million objects that all stay. Python's collector goes through
    them again and again meanwhile, a fifth of the time that TensorFlow takes, and later
    whenever TensorFlow traces a function.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
