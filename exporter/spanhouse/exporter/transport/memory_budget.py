"""Memory budget of request bodies, shared by all listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.transport.malloc import MallocTrim

_LARGE_BYTES: Final = 2**20
"""Trim the heap after a request that held at least this."""


@dataclass(slots=True)
class MemoryBudget:
    """Limit on the bytes that all requests together hold; large requests trigger a heap trim at their end.

    Attributes:
        limit_bytes: the maximum.
        used_bytes: bytes held now.
    """

    limit_bytes: int
    used_bytes: int = 0
    _trim: MallocTrim = field(default_factory=MallocTrim, init=False)

    @contextmanager
    def request(self) -> Iterator[Callable[[int], None]]:
        """Give one request a function that reserves further bytes; all are released at the end of the block.

        The function raises UnavailableError when the budget is used up.
        """
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if self.used_bytes + size > self.limit_bytes:
                raise UnavailableError("the requests in progress use all memory reserved for them; try again", 1.0)
            held += size
            self.used_bytes += size

        try:
            yield take
        finally:
            self.used_bytes -= held
            if held >= _LARGE_BYTES:
                self._trim.soon()
