"""Files that are whole or absent, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from tfagents_system.errors import UserError

_CHUNK_BYTES = 1 << 20


def write_bytes(path: Path, contents: bytes, durable: bool = False) -> None:
    """Writes a file so that a reader sees the old one or the new one, never a part.

    Args:
      path: The file; its folder must exist. One that was deleted is not made again.
      contents: Its new contents.
      durable: Survive a power cut too, at the price of waiting for the disk.

    Raises:
      OSError: The disk is full, for example; the old file is intact.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(contents)
        if durable:
            sync(partial)
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    if durable:
        sync(path.parent)


def write_json(path: Path, value: Any, durable: bool = False) -> None:
    """Writes JSON as `write_bytes` does."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode(), durable)


def copy(source: Path, target: Path) -> None:
    """Copies a file as `write_bytes` writes one, durably."""
    write_bytes(target, source.read_bytes(), durable=True)


@contextlib.contextmanager
def staying(folder: Path) -> Iterator[Path]:
    """Yields a path that leads to a folder wherever it is moved meanwhile.

    What writes there for long and makes missing folders, as TensorFlow does, would
    bring back one that was moved or deleted. Where there is no /proc it is the folder's
    own path.

    Raises:
      OSError: The folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        path = Path(f"/proc/self/fd/{descriptor}")
        yield path if path.exists() else folder
    finally:
        os.close(descriptor)


def move_aside(path: Path, folder: Path | None = None) -> Path:
    """Renames a file or folder that is in the way; nothing is ever deleted for that.

    Args:
      path: What is in the way.
      folder: Where to move it, on the same disk; None: it stays where it is.

    Returns:
      Its new path: `damaged_<name>_<time in ns>`.
    """
    target = (folder or path.parent) / f"damaged_{path.name}_{time.time_ns()}"
    return path.rename(target)


def describe_free_space(path: Path) -> str:
    """Says how much room a disk has, e.g. `0.3 MB free on the disk of /logs/x`."""
    try:
        free = shutil.disk_usage(path).free
    except OSError as error:
        return f"the disk of {path} cannot be asked ({error.strerror})"
    return f"{free / 1e6:,.1f} MB free on the disk of {path}"


def read_json(
    path: Path,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Reads a JSON file.

    Args:
      path: The file.
      object_pairs_hook: Makes an object of its keys and values, as in `json.loads`.

    Returns:
      The parsed JSON.

    Raises:
      UserError: The file is missing or is not valid JSON.
    """
    try:
        return json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=object_pairs_hook
        )
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


def sync(path: Path) -> None:
    """Forces a file or folder to disk, so that a power cut cannot leave half of it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprint(path: Path) -> tuple[int, int]:
    """Returns a file's size in bytes and its CRC-32."""
    size = checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
    return size, checksum
