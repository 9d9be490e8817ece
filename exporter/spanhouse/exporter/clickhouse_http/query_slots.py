"""Query slots: admission of queries to the engine, fair between tokens."""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections import Counter
from itertools import count
from typing import Final, Self

_RECALL_SECONDS: Final = 1.0
"""Interval at which a waiting request recalls overdue slots."""


class QuerySlots:
    """Fixed number of slots with a fair queue in front; thread-safe.

    The next request served is that of the token with the fewest slots, so that many queries of one token don't keep others out; between equals,
    the first to arrive. No request overtakes it: neither one that arrives when a slot becomes free, nor one that needs fewer slots.

    The engine checks a query's time limit between blocks only, and one call of a function on a large array can take an hour. Such overdue
    queries lose their slots while others wait, though they run on. At most as many queries are overdue at once as there are slots, which bounds
    the extra load. An overdue query still counts as its token's, which gets only the other slots: one token alone can't exceed the number.

    Args:
        number: number of slots.
        keep_seconds: time for which a query keeps its slots while others wait.
    """

    def __init__(self, number: int, *, keep_seconds: float) -> None:
        self.number = number
        self._keep_seconds = keep_seconds
        self._holding: list[SlotRequest] = []
        self._overdue: list[SlotRequest] = []
        self._free = number
        self._queue: list[SlotRequest] = []
        self._lock = threading.Lock()
        self._arrivals = count()

    def enqueue(self, token_name: str | None = None) -> SlotRequest:
        """Queue a request for one slot. Does not wait, so a caller's requests keep their order.

        Args:
            token_name: name of the query's token; None where tokens are not distinguished.
        """
        with self._lock:
            request = SlotRequest(self, next(self._arrivals), token_name)
            self._insert(request, 1)
        return request

    def requeue(self, request: SlotRequest, wanted: int) -> None:
        """Take a request's slots back and queue it for others at its former position; with none wanted, end it."""
        with self._lock:
            self._withdraw(request)
            self._take_back(request)
            if request in self._overdue:
                self._overdue.remove(request)
            self._insert(request, wanted)

    def recall(self) -> None:
        """Take slots back from overdue queries."""
        with self._lock:
            due = time.monotonic() - self._keep_seconds
            for request in [request for request in self._holding if request.since <= due][: self.number - len(self._overdue)]:
                self._take_back(request)
                self._overdue.append(request)
            self._assign()

    def cancel(self, request: SlotRequest) -> None:
        """Remove a request from the queue; does nothing to one that has its slots."""
        with self._lock:
            self._withdraw(request)
            self._assign()

    def _withdraw(self, request: SlotRequest) -> None:
        if request in self._queue:
            self._queue.remove(request)
            request.decided.set()

    def _take_back(self, request: SlotRequest) -> None:
        if request in self._holding:
            self._holding.remove(request)
            self._free += request.slots
            request.slots = 0

    def _insert(self, request: SlotRequest, wanted: int) -> None:
        request.wanted = wanted
        if wanted:
            request.decided.clear()
            insort(self._queue, request, key=lambda waiting: waiting.arrival)
        self._assign()

    def _assign(self) -> None:
        while (first := self._first()) is not None and first.wanted <= self._free:
            self._queue.remove(first)
            first.slots = first.wanted
            self._free -= first.slots
            first.since = time.monotonic()
            self._holding.append(first)
            first.decided.set()

    def _first(self) -> SlotRequest | None:
        """Return the queued request to serve next."""
        overdue = {request.token_name for request in self._overdue if request.token_name is not None}
        used = Counter[str | None]()
        for request in (*self._holding, *self._overdue):
            used[request.token_name] += request.wanted
        eligible = (
            request for request in self._queue if request.token_name not in overdue or used[request.token_name] + request.wanted <= self.number
        )
        return min(eligible, key=lambda request: used[request.token_name], default=None)


class SlotRequest:
    """One query's request for slots: first queued, then holding them until the block ends.

    Attributes:
        arrival: sequence number.
        token_name: name of the query's token, if tokens are distinguished.
        wanted: number of slots it waits for or holds.
        slots: number of slots it holds.
        since: monotonic time at which it got them.
        decided: set while it is not queued.
    """

    def __init__(self, slots: QuerySlots, arrival: int, token_name: str | None) -> None:
        self.arrival = arrival
        self.token_name = token_name
        self.wanted = 0
        self.slots = 0
        self.since = 0.0
        self.decided = threading.Event()
        self._all = slots

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._all.requeue(self, 0)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the slots; return False if they did not come in time, or the request was cancelled."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self.decided.wait(_RECALL_SECONDS if until is None else max(0.0, min(_RECALL_SECONDS, until - time.monotonic()))):
            self._all.recall()
            if until is not None and time.monotonic() >= until:
                break
        self._all.cancel(self)
        return self.slots > 0

    def request_all(self) -> None:
        """Give back the slots held and queue for all of them."""
        self._all.requeue(self, self._all.number)

    def cancel(self) -> None:
        """Stop waiting; does nothing if it has its slots."""
        self._all.cancel(self)
