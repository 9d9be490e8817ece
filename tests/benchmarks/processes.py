"""What processes use, from outside: CPU time by thread, memory that is theirs alone."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Self

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.05


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads included, those that ended too."""
    return _times(Path(f"/proc/{pid}/stat"))[1]


def anonymous_megabytes(pid: int) -> float:
    """RssAnon of a process."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(lines["RssAnon"].split()[0]) / 1024


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    return [int(child) for tasks in Path(f"/proc/{pid}/task").iterdir() for child in (tasks / "children").read_text().split()]


def wait_until_quiet(*pids: int) -> None:
    """Wait until background work has come to rest: less than a tenth of a core over a second."""
    before = sum(map(cpu_seconds, pids))
    while True:
        time.sleep(1)
        now = sum(map(cpu_seconds, pids))
        if now - before < 0.1:
            return
        before = now


def _times(stat: Path) -> tuple[str, float]:
    """Name and CPU seconds of a process or thread."""
    name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
    fields = rest.split()
    return name, (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


class Watch:
    """Looks at a process 20 times a second for as long as the block runs.

    Attributes:
        peak_megabytes: the largest RssAnon seen.
        by_thread: CPU seconds by the name that threads had when they spent them; an engine's pool renames its threads as it uses them.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.peak_megabytes = 0.0
        self.by_thread: defaultdict[str, float] = defaultdict(float)
        self._last = self._threads()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        self.peak_megabytes = max(self.peak_megabytes, anonymous_megabytes(self._pid))
        now = self._threads()
        for thread, (name, seconds) in now.items():
            self.by_thread[name] += seconds - self._last.get(thread, ("", 0.0))[1]
        self._last = now

    def _threads(self) -> dict[int, tuple[str, float]]:
        found: dict[int, tuple[str, float]] = {}
        for task in Path(f"/proc/{self._pid}/task").iterdir():
            with suppress(OSError):  # it has ended
                found[int(task.name)] = _times(task / "stat")
        return found
