"""Free memory of glibc's heaps goes back to the system."""

from __future__ import annotations

import asyncio
import os

import pytest
from tests.support.memory import anonymous_bytes, falls_to

from spanhouse.exporter.transport import malloc

PIECE = 64 * 1024
"""Below what glibc maps on its own."""


def test_memory_freed_in_the_middle_of_a_heap_goes_back_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "_CALM_SECONDS", 0.01)
    pieces = [b"x" * PIECE for _ in range(2000)]
    last = pieces[-1]
    held = anonymous_bytes(os.getpid())
    del pieces

    async def trim() -> None:
        wanted = malloc.MallocTrim()
        wanted.soon()
        wanted.soon()
        await asyncio.to_thread(falls_to, os.getpid(), held - 1000 * PIECE)

    asyncio.run(trim())
    assert len(last) == PIECE
