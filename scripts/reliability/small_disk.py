"""A small disk of its own for a training, which can be filled and freed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

_BLOCK_BYTES = (1 << 16, 1 << 12, 1)
_IS_INSIDE = "RELIABILITY_HAS_MOUNTS"


def enter_mount_namespace() -> None:
    """Starts this script again where it may mount, unless it already runs there.

    What is mounted there is seen only by this script and what it starts, and is gone
    when they have ended.
    """
    if _IS_INSIDE in os.environ:
        return
    # The first needs root, the second a kernel with user namespaces.
    for options in (["-m"], ["-rm"]):
        probe = ["unshare", *options, "true"]
        with contextlib.suppress(FileNotFoundError):
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                os.environ[_IS_INSIDE] = "1"
                os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])
    sys.exit("error: cannot mount a small disk here; run this as root (unshare -m)")


class SmallDisk:
    """A file system in memory."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        """Mounts it.

        Args:
          folder: Where; made if it is missing.
          megabytes: Its size.
        """
        self.folder = folder
        self._filler = folder / "filler"
        folder.mkdir(parents=True, exist_ok=True)
        options = f"size={megabytes}m,mode=755"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "small_disk", str(folder)],
            check=True,
        )

    def fill(self) -> None:
        """Fills it to the last byte; again, where something has been removed since."""
        with self._filler.open("ab", buffering=0) as file:
            for num_bytes in _BLOCK_BYTES:
                with contextlib.suppress(OSError):
                    while file.write(bytes(num_bytes)) == num_bytes:
                        pass

    def free(self) -> None:
        """Removes what `fill` wrote."""
        self._filler.unlink(missing_ok=True)

    def used_bytes(self) -> int:
        """Returns how much is in use."""
        return shutil.disk_usage(self.folder).used

    def close(self) -> None:
        """Unmounts it."""
        subprocess.run(["umount", "-l", str(self.folder)], check=False)
