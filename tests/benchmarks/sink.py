"""An HTTP server that reads what it is sent, keeps it in files and answers 200: ``python -m tests.benchmarks.sink DIRECTORY PORT``."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import uvicorn


class _Sink:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count()

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[..., Awaitable[None]]) -> None:
        pieces = []
        more = True
        while more:
            message = await receive()
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        if body := b"".join(pieces):
            number = next(self._numbers)
            (self._directory / f"{number:06}.insert").write_bytes(body)
            (self._directory / f"{number:06}.query").write_bytes(scope["query_string"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(_Sink(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning", lifespan="off")
