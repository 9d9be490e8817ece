"""What these tests need of the machine; what is not there is left out, and said at the end."""

from __future__ import annotations

import shutil

import pytest

_NEEDED = {
    "systemd-analyze": ("test_systemd.py", "the systemd units (needs systemd-analyze)"),
    "openssl": ("test_tls.py", "the script that makes certificates (needs openssl)"),
}
_LEFT_OUT = dict(tested for program, tested in _NEEDED.items() if shutil.which(program) is None)
collect_ignore = list(_LEFT_OUT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out."""
    for what in _LEFT_OUT.values():
        terminalreporter.write_line(f"left out: {what}")
