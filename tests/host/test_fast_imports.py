"""Garbage is not collected while modules are imported, and is collected after it."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY

CODE = """
import gc
from tfagents_system.host.fast_imports import fast_imports

started = []
gc.callbacks.append(lambda phase, info: started.append(phase))
kept = []
try:
    with fast_imports():
        kept += [[] for _ in range(100_000)]
        raise ImportError
except ImportError:
    pass
assert not started
assert gc.isenabled()
assert gc.get_freeze_count() > 100_000
# What comes later is collected: this is a cycle.
later = []
later.append(later)
del later
assert gc.collect() == 1
"""


def test_no_garbage_is_collected_while_modules_are_imported() -> None:
    subprocess.run([sys.executable, "-c", CODE], cwd=REPOSITORY, check=True)
