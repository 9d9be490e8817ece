"""Readiness: each part of the server says why it takes no requests; health checks ask."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

STOPPING: Final = "stopping"
"""Name of the part that is not ready while the server stops."""


class Readiness:
    """Problems that keep the server from taking requests, by part. Without problems it is ready.

    A part sets its own problem when that changes, from any thread::

        readiness.set("spool", "full: 16 GiB wait to be stored")
        readiness.set("spool", None)
    """

    def __init__(self) -> None:
        self._problems: Mapping[str, str] = MappingProxyType({})
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @property
    def problems(self) -> Mapping[str, str]:
        """Problems by part: one line each for the operator, without secrets. The mapping never changes; a later call may give another."""
        return self._problems

    def set(self, part: str, problem: str | None) -> None:
        """Set a part's problem; None for none. Setting the same again costs next to nothing."""
        if self._problems.get(part) == problem:
            return
        with self._lock:
            others = {name: text for name, text in self._problems.items() if name != part}
            self._problems = MappingProxyType(others if problem is None else {**others, part: problem})
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    async def other_than(self, seen: Mapping[str, str]) -> Mapping[str, str]:
        """Wait until the problems differ from those seen, and return them."""
        while True:
            changed = asyncio.Event()
            entry = (asyncio.get_running_loop(), changed)
            with self._lock:
                if self._problems != seen:
                    return self._problems
                self._waiting.append(entry)
            try:
                await changed.wait()
            finally:
                with self._lock:
                    if entry in self._waiting:
                        self._waiting.remove(entry)
