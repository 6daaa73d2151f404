"""Waiting for other processes."""

from __future__ import annotations

import time
from typing import Callable


def wait_for(condition: Callable[[], object], timeout_secs: float = 20.0) -> None:
    """Waits until a condition comes true; fails if it takes too long."""
    deadline = time.monotonic() + timeout_secs
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
