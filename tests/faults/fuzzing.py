"""What the fuzzers share: a connection that takes damaged requests, the memory of the server, the numbers of requests."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from tests.support.memory import anonymous_bytes

_MEMORY_BYTES: Final = 600 * 2**20
_GROWTH: Final = 1.25
"""How far a long run's memory at its end may be above the highest of its first half."""
_LONG_RUN_SECONDS: Final = 600


class IllegalAnswerError(AssertionError):
    """An answer that the protocol does not allow."""


class Connection:
    """Speaks HTTP/1.1, as far as a client's bytes are HTTP, and is opened again when the server has closed it."""

    def __init__(self, address: str) -> None:
        self._host, self._port = address.rsplit(":", 1)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def ask(self, request: bytes, *, method: str) -> tuple[int, dict[str, str], bytes]:
        """Send a whole request; status, headers by lower-case name, and body of its answer."""
        reader, writer = await self._open()
        writer.write(request)
        while (status := await _status(reader))[0] == 100:
            pass
        code, headers = status
        body = b"" if method == "HEAD" else await _body(reader, headers)
        if headers.get("connection", "") == "close":
            self.close()
        return code, headers, body

    async def ask_anything(self, request: bytes) -> str:
        """Send bytes that may mean anything. What comes for them: some answers, or the end."""
        reader, writer = await self._open()
        writer.write(request)
        writer.write_eof()
        came = await reader.read()
        self.close()
        assert not came or re.match(rb"HTTP/1\.[01] [1-5]\d\d ", came), came[:100]
        return f"raw {came[9:12].decode()}"

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, int(self._port))
        return self._streams


async def _status(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    return int(lines[0].split()[1]), headers


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(pieces)


def head(method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
    """An HTTP request up to its body."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "host: 127.0.0.1",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Memory:
    """Looks at a process twice a second while something runs.

    Attributes:
        seconds: how long it ran.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[int] = []
        self.seconds = 0.0

    async def during(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it."""
        watching = asyncio.create_task(self._watch())
        begun = time.monotonic()
        await work
        self.seconds = time.monotonic() - begun
        watching.cancel()

    async def _watch(self) -> None:
        while True:
            self._seen.append(anonymous_bytes(self._pid))
            await asyncio.sleep(0.5)

    def found(self) -> dict[str, list[int]]:
        """For the record."""
        name = "anonymous memory MB, highest, highest of the first half, median of the last tenth"
        return {name: [size >> 20 for size in (max(self._seen), self._first_half(), self._at_end())]}

    def check(self) -> None:
        """Raises AssertionError if it was too much or, in a long run, grew."""
        assert max(self._seen) <= _MEMORY_BYTES, self.found()
        assert self.seconds < _LONG_RUN_SECONDS or self._at_end() <= _GROWTH * self._first_half(), self.found()

    def _first_half(self) -> int:
        return max(self._seen[: len(self._seen) // 2 or 1])

    def _at_end(self) -> int:
        last = sorted(self._seen[-max(1, len(self._seen) // 10) :])
        return last[len(last) // 2]


def run_as_told(fuzz: Callable[..., dict[str, Any]], description: str | None, requests: int) -> None:
    """Fuzz as the command line says: ``fuzz(directory, requests=, seed=)``, and print what it found."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=requests)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = fuzz(Path(directory), requests=options.requests, seed=options.seed)
    json.dump({"seed": options.seed, **found}, sys.stdout, indent=1)
    print()
