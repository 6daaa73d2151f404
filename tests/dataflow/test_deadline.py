"""Calls that end although nobody answers, and a replay server that is stopped."""

from __future__ import annotations

import threading

import pytest

from tests.waiting import wait_for
from tfagents_system.dataflow.deadline import Line, NoAnswer


def test_what_a_call_returns_or_raises_is_the_callers() -> None:
    line = Line()
    assert line.call(lambda: 3, "counting") == 3
    with pytest.raises(ZeroDivisionError):
        line.call(lambda: 1 // 0, "dividing")
    assert line.call(lambda: 4, "counting") == 4


def test_a_call_without_an_answer_is_given_up_and_named() -> None:
    answer = threading.Event()
    line = Line(silence_secs=0.2)
    with pytest.raises(NoAnswer, match=r"^no answer for 0\.2 s while waiting$"):
        line.call(answer.wait, "waiting")
    answer.set()


def test_a_call_that_gets_on_is_waited_for() -> None:
    answer, num_asked = threading.Event(), 0

    def progress() -> int:
        nonlocal num_asked
        num_asked += 1
        if num_asked == 20:
            answer.set()
        return num_asked

    # Twenty times as long as it waits without progress.
    assert Line(silence_secs=0.1).call(answer.wait, "writing", progress)
    assert num_asked == 20


def test_calls_neither_pile_up_nor_overtake() -> None:
    answer = threading.Event()
    calls: list[str] = []
    line = Line(silence_secs=0.1)

    def first() -> None:
        answer.wait()
        calls.append("first")

    with pytest.raises(NoAnswer):
        line.call(first, "the first")
    num_threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(NoAnswer, match="the call before the second"):
            line.call(lambda: calls.append("second"), "the second")
    assert threading.active_count() == num_threads
    answer.set()
    wait_for(lambda: calls == ["first"])
    line.call(lambda: calls.append("second"), "the second")
    assert calls == ["first", "second"]
