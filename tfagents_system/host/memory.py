"""How much memory a replay needs, and how much there is."""

from __future__ import annotations

import re
from pathlib import Path

# Reverb's own part of a stored item, beside its rows: 200 to 300 bytes for each of
# eight rows (docs/benchmarks.md).
OVERHEAD_BYTES_PER_ITEM = 2400
# What the other processes and the file cache should find free.
USABLE_FRACTION = 0.8


def replay_bytes(num_rows: int, bytes_per_row: int, rows_per_item: int) -> int:
    """Returns the memory of a full replay.

    Args:
      num_rows: Its capacity, transitions.
      bytes_per_row: Size of a packed row.
      rows_per_item: Rows that share an item of Reverb.
    """
    return num_rows * (bytes_per_row + OVERHEAD_BYTES_PER_ITEM // rows_per_item)


def available_bytes(
    meminfo: Path = Path("/proc/meminfo"),
    cgroup: Path = Path("/proc/self/cgroup"),
    cgroup_root: Path = Path("/sys/fs/cgroup"),
) -> int | None:
    """Returns the memory that this process may still use; None if it is unknown.

    Args:
      meminfo: The kernel's memory statistics.
      cgroup: The process's control groups: SLURM and containers limit memory there.
      cgroup_root: Where the control groups (version 2) are.
    """
    amounts = []
    match = re.search(r"^MemAvailable:\s*(\d+) kB$", _read(meminfo), re.M)
    if match:
        amounts.append(int(match.group(1)) * 1024)
    match = re.search(r"^0::/(.*)$", _read(cgroup), re.M)
    if match:
        folder = cgroup_root / match.group(1)
        for group in (folder, *folder.parents):
            limit, used = (
                _read(group / f"memory.{name}").strip() for name in ("max", "current")
            )
            if limit.isdecimal() and used.isdecimal():
                amounts.append(max(0, int(limit) - int(used)))
            if group == cgroup_root:
                break
    return min(amounts, default=None)


def describe_shortage(needed: int, available: int | None) -> str | None:
    """Returns a line for the user if the replay will not fit, with the numbers.

    Args:
      needed: `replay_bytes`.
      available: `available_bytes`.
    """
    if available is None or needed <= available * USABLE_FRACTION:
        return None
    return (
        f"WARNING: the full replay takes about {needed / 1e9:.1f} GB and only "
        f"{available / 1e9:.1f} GB of memory are available: the replay server would be "
        "killed before it is full. Lower n_episodes_in_buffer to "
        f"{USABLE_FRACTION * available / needed:.0%} of what it is, or less"
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
