"""What these tests need of the machine; what a machine does not allow is left out, and said at the end."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def _traces_others() -> bool:
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "30"]) as other:
        # "strace: Process 1 attached", or why not.
        with subprocess.Popen(["strace", "-p", str(other.pid)], stderr=subprocess.PIPE) as strace:
            said = strace.stderr.readline() if strace.stderr else b""
            strace.terminate()
        other.kill()
    return b"attached" in said


def _mounts() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


_LEFT_OUT = {
    **({} if _traces_others() else {"test_sync_before_ack.py": "the order of system calls before an acknowledgement (needs strace)"}),
    **({} if _mounts() else {"test_full_disk.py": "a server on a full disk (needs mounts in a namespace of one's own)"}),
}
collect_ignore = list(_LEFT_OUT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out."""
    for what in _LEFT_OUT.values():
        terminalreporter.write_line(f"left out: {what}")
