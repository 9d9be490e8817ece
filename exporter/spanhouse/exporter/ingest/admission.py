"""Admission control of the OTLP receivers: refuses a request before any work is done for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.spool.capacity import RETRY_SECONDS as SPOOL_RETRY_SECONDS
from spanhouse.exporter.spool.capacity import SpoolCapacity

RETRY_SECONDS: Final = 1.0
"""Pause that a client is told where memory is short or the server stops."""

_MOST_REFUSED: Final = 20_000
_TAIL_BYTES: Final = 4096
"""End of a request: it holds the ids of its last span, mostly. A request taken for another one gets in earlier, nothing more."""
_SLICES: Final = 32
_SLICE_BYTES: Final = 64
"""Slices all over a request: they hold ids of other spans, where all requests of a client end in the same long text."""


class Queue(Protocol):
    """Queue that admitted requests get into."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the requests that are not written yet."""
        ...

    @property
    def closing(self) -> bool:
        """Return True once the queue takes no more requests."""
        ...


class RecentlyRefused:
    """Memory of the requests that were refused lately, by which a retry is told from a first-time request. For one thread.

    A client tries a few times within some ten seconds, then drops its spans. Under an overload that lasts, retries without precedence would
    fare as all requests do, and some clients would lose all of their spans.

    Args:
        most: number of requests that are remembered.
    """

    def __init__(self, most: int = _MOST_REFUSED) -> None:
        self._most = most
        self._keys: dict[int, None] = {}

    def __contains__(self, body: bytes) -> bool:
        return bool(self._keys) and _key(body) in self._keys

    def add(self, body: bytes) -> None:
        """Remember a request."""
        key = _key(body)
        self._keys.pop(key, None)
        self._keys[key] = None
        if len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]

    def discard(self, body: bytes) -> None:
        """Forget a request that was taken."""
        if self._keys:
            self._keys.pop(_key(body), None)


class Admission:
    """Admission control: asked once for each request, before it is parsed. For one thread.

    It refuses while the server stops, while too much waits in memory, and while the spool has no room. The last eighth of the spool
    is reserved for retries. A request that was admitted while the spool fills can still be refused by the append, which looks at the disk.

    Args:
        queue: queue that admitted requests get into.
        waiting_bytes: limit of the bytes that wait, those being written included; a single larger request is admitted.
        capacity: room in the spool; None for a receiver without one.
    """

    def __init__(self, queue: Queue, *, waiting_bytes: int, capacity: SpoolCapacity | None = None) -> None:
        self._queue = queue
        self._waiting_limit = waiting_bytes
        self._capacity = capacity
        self._held_bytes = 0
        self._refused = RecentlyRefused()

    def check(self, body: bytes) -> None:
        """Admit a request, or refuse it.

        Raises:
            UnavailableError: the request is refused; the client may try again.
        """
        if self._queue.closing:
            raise UnavailableError("the server is stopping", RETRY_SECONDS)
        size = len(body)
        waiting = self._queue.waiting_bytes + self._held_bytes
        if waiting and waiting + size > self._waiting_limit:
            raise UnavailableError("more waits to be written than fits in memory; try again", RETRY_SECONDS)
        if self._capacity is not None and (refusal := self._capacity.refuses(waiting + size, reserve=body not in self._refused)):
            raise UnavailableError(f"{refusal}; try again", SPOOL_RETRY_SECONDS)

    def refused(self, body: bytes) -> None:
        """Remember a request that was refused, here or by the append: it comes again as a retry."""
        self._refused.add(body)

    def taken(self, body: bytes) -> None:
        """Forget a request that was taken."""
        self._refused.discard(body)

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count so many bytes as waiting while the block runs: a thread checks an admitted request, which is not in the queue yet."""
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size


def _key(body: bytes) -> int:
    spread = range(0, len(body), max(_SLICE_BYTES, len(body) // _SLICES))
    return hash((len(body), body[-_TAIL_BYTES:], *(body[begin : begin + _SLICE_BYTES] for begin in spread)))
