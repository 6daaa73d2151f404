"""A real disk that is small: a tmpfs in a mount namespace of its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path, num_megabytes: int) -> Iterator[Path]:
    """Mounts a small disk; needs no rights beyond user namespaces.

    Args:
      folder: An empty folder to mount it at, in a namespace that only its keeper has.
      num_megabytes: Its size.

    Yields:
      A path that leads to it from any process of this user, as long as it is there.
    """
    script = 'mount -t tmpfs -o "size=$1m" tmpfs "$2" && echo mounted && exec cat'
    keeper = subprocess.Popen(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(num_megabytes), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        assert keeper.stdout.readline() == b"mounted\n"
        yield Path(f"/proc/{keeper.pid}/root{folder}")
    finally:
        keeper.communicate()  # `cat` ends with its input, and the disk with it.


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fills a disk with another file, and frees it again."""
    filler = disk / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield
    finally:
        filler.unlink()
