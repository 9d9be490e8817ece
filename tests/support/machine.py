"""What some tests need of the machine beside Python and git. They are left out where it is not there, and the run's end says so."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Final

_TESTS: Final = Path(__file__).parents[1]


def _has(program: str) -> bool:
    return shutil.which(program) is not None


def _traces_others() -> bool:
    if not _has("strace"):
        return False
    with subprocess.Popen(["sleep", "30"]) as other:
        # "strace: Process 1 attached", or why not.
        with subprocess.Popen(["strace", "-p", str(other.pid)], stderr=subprocess.PIPE) as strace:
            said = strace.stderr.readline() if strace.stderr else b""
            strace.terminate()
        other.kill()
    return b"attached" in said


def _mounts() -> bool:
    if not _has("unshare"):
        return False
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _trims_heaps() -> bool:
    return hasattr(ctypes.CDLL(None), "malloc_trim")


def _offers_http2() -> bool:
    return _has("curl") and b"HTTP2" in subprocess.run(["curl", "--version"], capture_output=True).stdout


_NEEDS: Final[dict[str, tuple[Callable[[], bool], str]]] = {
    "deploy/test_systemd.py": (partial(_has, "systemd-analyze"), "the systemd units (needs systemd-analyze)"),
    "deploy/test_tls.py": (partial(_has, "openssl"), "the script that makes certificates (needs openssl)"),
    "faults/test_full_disk.py": (_mounts, "a server on a full disk (needs mounts in a namespace of one's own)"),
    "integration/test_client_curl.py": (_offers_http2, "curl's offers of HTTP/2 (needs curl with HTTP/2)"),
    "integration/test_client_java.py": (partial(_has, "java"), "Java's HTTP client (needs a JDK of Java 11 or later)"),
    "integration/test_store_backup_elsewhere.py": (_mounts, "backups put on another file system (needs mounts in a namespace of one's own)"),
    "faults/test_sync_before_ack.py": (_traces_others, "the order of system calls before an acknowledgement (needs strace)"),
    "unit/test_exporter_malloc.py": (_trims_heaps, "the return of free memory to the system (needs glibc)"),
}
"""File below tests/ -> whether this machine can run it, and what it tests."""


@cache
def lacks(file: Path) -> str | None:
    """What is left untested, if the machine can't run the tests in this file."""
    needed, tested = _NEEDS.get(file.relative_to(_TESTS).as_posix(), (lambda: True, ""))
    return None if needed() else tested


def left_out(asked: list[Path]) -> list[str]:
    """What is left untested of these files and directories."""
    files = [_TESTS / name for name in _NEEDS]
    return [what for file in files if any(file.is_relative_to(path) for path in asked) and (what := lacks(file))]
