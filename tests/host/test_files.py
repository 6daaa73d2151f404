"""Files that are whole or absent, and JSON that is read with one clear line."""

from __future__ import annotations

import os
import re
import resource
import zlib
from pathlib import Path

import pytest

from tfagents_system.errors import UserError
from tfagents_system.host import files


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    files.write_bytes(path, b"first", durable)
    files.write_bytes(path, b"second \x00\xff", durable)
    assert path.read_bytes() == b"second \x00\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_folder_that_was_deleted_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_bytes(tmp_path / "gone" / "file", b"")
    assert list(tmp_path.iterdir()) == []


def test_on_a_full_disk_the_old_file_is_intact(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_bytes(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.write_bytes(path, b"new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    # Nothing is left of the attempt, which would fill the disk further.
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_is_written_as_json_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    value = {"a": [1, 2.5, None, True], "ä": {"b": "\n"}}
    files.write_json(path, value)
    assert files.read_json(path) == value
    assert path.read_bytes().endswith(b"}\n")
    assert files.read_json(path, object_pairs_hook=len) == 2


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (None, r"^cannot read .*/file\.json: No such file or directory$"),
        (b"", r"/file\.json is not valid JSON: "),
        (b"{", r"/file\.json is not valid JSON: "),
        (b'{"a": 1} x', r"/file\.json is not valid JSON: Extra data"),
        (b'"\xff"', r"/file\.json is not valid JSON: 'utf-8' codec"),
    ],
)
def test_bad_json_is_one_line(
    tmp_path: Path, contents: bytes | None, message: str
) -> None:
    path = tmp_path / "file.json"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(UserError, match=message) as error:
        files.read_json(path)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=re.escape(f"cannot read {tmp_path}: Is a dir")):
        files.read_json(tmp_path)


def test_a_fingerprint_is_of_the_size_and_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert files.fingerprint(path) == (0, 0)
    contents = bytearray(os.urandom(3_000_001))  # More than one chunk.
    path.write_bytes(contents)
    before = files.fingerprint(path)
    assert before == (3_000_001, zlib.crc32(contents))
    contents[2_500_000] ^= 1
    path.write_bytes(contents)
    assert files.fingerprint(path)[1] != before[1]


def test_files_and_folders_are_forced_to_disk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    num_open = len(list(Path("/proc/self/fd").iterdir()))
    files.sync(path)
    files.sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.sync(tmp_path / "gone")
    assert len(list(Path("/proc/self/fd").iterdir())) == num_open


def test_a_copy_is_whole_and_its_own_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"contents")
    files.copy(source, target)
    source.write_bytes(b"changed")
    assert target.read_bytes() == b"contents"


def test_what_is_in_the_way_is_moved_and_never_over_another(tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    moved = []
    for index in range(3):
        path = tmp_path / "file"
        path.write_text(str(index))
        moved.append(files.move_aside(path, aside if index else None))
        assert not path.exists()
    assert [path.read_text() for path in moved] == ["0", "1", "2"]
    assert [path.parent for path in moved] == [tmp_path, aside, aside]
    assert all(re.fullmatch(r"damaged_file_\d+", path.name) for path in moved)


def test_the_room_on_a_disk_is_said_and_a_disk_that_is_gone_too(
    tmp_path: Path,
) -> None:
    said = files.describe_free_space(tmp_path)
    assert re.fullmatch(rf"[\d,]+\.\d MB free on the disk of {tmp_path}", said)
    gone = tmp_path / "gone"
    assert "cannot be asked (No such file" in files.describe_free_space(gone)


def test_a_path_leads_to_a_folder_that_was_moved_and_brings_none_back(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    with files.staying(folder) as path:
        folder.rename(tmp_path / "moved")
        (path / "inner").mkdir(parents=True)
    assert (tmp_path / "moved" / "inner").is_dir()
    assert not folder.exists()
    with pytest.raises(FileNotFoundError), files.staying(folder):
        pass
