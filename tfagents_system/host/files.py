"""Files that are whole or absent, whatever ends the process that writes them."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any, Callable

from tfagents_system.errors import UserError

_CHUNK_BYTES = 1 << 20


def write_bytes(path: Path, contents: bytes) -> None:
    """Writes a file so that a reader sees the old one or the new one, never a part.

    Args:
      path: The file; its folder is made if it is missing.
      contents: Its new contents.

    Raises:
      OSError: The disk is full, for example; the old file is intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(contents)
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON as `write_bytes` does."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


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
