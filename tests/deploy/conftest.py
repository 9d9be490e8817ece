"""What these tests need of the machine; what is not there is left out, and said at the end."""

from __future__ import annotations

import shutil

import pytest

_LEFT_OUT = {} if shutil.which("systemd-analyze") else {"test_systemd.py": "the systemd units (needs systemd-analyze)"}
collect_ignore = list(_LEFT_OUT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out."""
    for what in _LEFT_OUT.values():
        terminalreporter.write_line(f"left out: {what}")
