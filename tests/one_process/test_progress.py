"""What a person at the terminal sees."""

from __future__ import annotations

import errno
import io
import re
import sys

import pytest

from tfagents_system.one_process.progress import Progress


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def test_in_a_pipe_there_are_only_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(100)
    progress.update(10)
    progress.print("a line")
    progress.update(20, episode_return=-3.0)
    progress.close()
    assert capsys.readouterr().err == "a line\n"


def test_a_terminal_has_a_bar_that_goes_on_after_a_resume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(100)
    progress.print("resumed")
    assert terminal.getvalue() == "resumed\n"  # The bar comes with the first update.
    progress.update(60)
    progress.update(100, episode_return=-123.456)
    progress.close()
    assert re.search(r"\r 60%.* 60\.0/100 ", terminal.getvalue())
    assert re.search(r"\r100%.* 100/100 .*return -123\.5\]", terminal.getvalue())


def test_without_an_update_close_does_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Progress(100).close()
    assert capsys.readouterr().err == ""


class FullDisk(Terminal):
    """A terminal's output that goes to a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_shown_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", FullDisk())
    progress = Progress(100)
    progress.print("a line")
    progress.update(10)
    progress.update(20, episode_return=-3.0)
    progress.close()
