"""What is said while a store is waited for."""

from __future__ import annotations

import io
import signal
import sys
import threading

import pytest

from spanhouse.cli.progress import _tell, waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Seconds(threading.Event):
    """An end that comes after some seconds, without their taking time."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self._left = seconds

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == 1
        self._left -= 1
        return self._left < 0


def test_who_waits_for_seconds_is_told_so_in_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    _tell(Seconds(2))
    told = terminal.getvalue().split("\r\x1b[K")
    assert told == ["", "0 s, Ctrl-C ends it", "0 s, Ctrl-C ends it", ""]


def test_nothing_is_said_of_what_takes_less_than_a_second_or_to_what_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with waiting():
            pass
        assert stream.getvalue() == ""


def test_ctrl_c_ends_the_process_at_once_while_it_waits_and_is_python_s_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with waiting():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before
