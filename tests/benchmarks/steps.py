"""``spanhouse`` with a clock at each step of the write path: ``python -m tests.benchmarks.steps serve ...``.

The CPU time that threads spend in a step is added up in the file ``$STEPS_FILE``, which others may read at any time. Two readings of
a thread's clock per call are all that it adds.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from spanhouse.cli import main
from spanhouse.exporter.ingest import service
from spanhouse.exporter.spool.appender import SpoolAppender
from spanhouse.exporter.spool.segment import Segment
from spanhouse.exporter.store.writer import Writer

STEPS = ("check", "spool", "read back", "insert")
FILE = "STEPS_FILE"
_SUMS = struct.Struct(f"<{len(STEPS)}d")


def make(path: Path) -> None:
    """Make the file, all sums zero."""
    path.write_bytes(bytes(_SUMS.size))


def read(path: Path) -> dict[str, float]:
    """Seconds of each step until now."""
    return dict(zip(STEPS, _SUMS.unpack(path.read_bytes()), strict=True))


class _Sums:
    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SUMS.size)
        self._values = dict.fromkeys(STEPS, 0.0)
        self._lock = threading.Lock()

    @contextmanager
    def clock(self, step: str) -> Iterator[None]:
        begun = time.thread_time()
        try:
            yield
        finally:
            with self._lock:
                self._values[step] += time.thread_time() - begun
                self._map[:] = _SUMS.pack(*self._values.values())

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            with self.clock(step):
                return function(*arguments, **options)

        return call


def _watch(sums: _Sums) -> None:
    for owner, name, step in ((service, "check", "check"), (SpoolAppender, "append", "spool"), (Writer, "_insert", "insert")):
        setattr(owner, name, sums.timed(step, getattr(owner, name)))
    setattr(Segment, "open", staticmethod(sums.timed("read back", Segment.open)))  # noqa: B010 mypy takes no method for it


if __name__ == "__main__":
    _watch(_Sums(Path(os.environ[FILE])))
    raise SystemExit(main())
