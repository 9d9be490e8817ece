"""Memory of a server's process, read from /proc."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def anonymous_bytes(pid: int) -> int:
    """Read the memory of a process that is its own (RssAnon)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"RssAnon:\s+(\d+) kB", text)[0]) * 1024


@contextmanager
def within(pid: int, limit_bytes: int) -> Iterator[None]:
    """Check that a process has at most so much memory of its own until the end of the block."""
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, anonymous_bytes(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert most <= limit_bytes, f"{most >> 20} MiB of {limit_bytes >> 20}"


def falls_to(pid: int, limit_bytes: int, seconds: float = 30) -> None:
    """Wait until a process has given memory back."""
    deadline = time.monotonic() + seconds
    while (found := anonymous_bytes(pid)) > limit_bytes:
        assert time.monotonic() < deadline, f"{found >> 20} MiB of {limit_bytes >> 20} after {seconds} s"
        time.sleep(0.05)
