"""Places for queries, given to all who ask in turns."""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections import Counter
from itertools import count
from typing import Final, Self

_LOOK_SECONDS: Final = 1.0
"""How often one that waits sees to it that nobody has places for too long."""


class Places:
    """So many places, and a queue before them; for any number of threads.

    Of those who wait, the one goes first whose asker has the fewest places, lest many queries of one asker keep the others out; among equals the
    one that came first. Nobody passes whoever goes first: neither one that comes when a place gets free, nor one that is content with fewer places.

    The engine looks at a query's time between blocks only, and one call of a function on a large array can take an hour. Lest such queries keep
    everybody out, those that had their places for too long lose them while others wait, though they run on: as many at a time as there are
    places, so that what they take is bounded, too. As long as they run on they count as their asker's, which gets no more than the rest: one asker
    alone can't have them all.

    Args:
        number: how many places there are.
        keep_seconds: how long one may have places while others wait.
    """

    def __init__(self, number: int, *, keep_seconds: float) -> None:
        self.number = number
        self._keep_seconds = keep_seconds
        self._holding: list[Turn] = []
        self._overdue: list[Turn] = []
        self._free = number
        self._queue: list[Turn] = []
        self._lock = threading.Lock()
        self._arrivals = count()

    def arrive(self, asker: str | None = None) -> Turn:
        """Come into the queue for one place. Does not wait, so that those who call this one after another keep that order.

        Args:
            asker: whose query it is; None where askers are not told apart.
        """
        with self._lock:
            turn = Turn(self, next(self._arrivals), asker)
            self._line_up(turn, 1)
        return turn

    def exchange(self, turn: Turn, wanted: int) -> None:
        """Take back the places that a turn has and put it into the queue for others, as early as it came; for none, let it go."""
        with self._lock:
            self._withdraw(turn)
            self._take_back(turn)
            if turn in self._overdue:
                self._overdue.remove(turn)
            self._line_up(turn, wanted)

    def recall(self) -> None:
        """Take places back from those that had theirs for too long."""
        with self._lock:
            due = time.monotonic() - self._keep_seconds
            for turn in [turn for turn in self._holding if turn.since <= due][: self.number - len(self._overdue)]:
                self._take_back(turn)
                self._overdue.append(turn)
            self._hand_out()

    def give_up(self, turn: Turn) -> None:
        """Take a turn out of the queue; nothing for one that has its places."""
        with self._lock:
            self._withdraw(turn)
            self._hand_out()

    def _withdraw(self, turn: Turn) -> None:
        if turn in self._queue:
            self._queue.remove(turn)
            turn.decided.set()

    def _take_back(self, turn: Turn) -> None:
        if turn in self._holding:
            self._holding.remove(turn)
            self._free += turn.places
            turn.places = 0

    def _line_up(self, turn: Turn, wanted: int) -> None:
        turn.wanted = wanted
        if wanted:
            turn.decided.clear()
            insort(self._queue, turn, key=lambda waiting: waiting.arrival)
        self._hand_out()

    def _hand_out(self) -> None:
        while (first := self._first()) is not None and first.wanted <= self._free:
            self._queue.remove(first)
            first.places = first.wanted
            self._free -= first.places
            first.since = time.monotonic()
            self._holding.append(first)
            first.decided.set()

    def _first(self) -> Turn | None:
        """Who goes first of those in the queue."""
        overdue = {turn.asker for turn in self._overdue if turn.asker is not None}
        has = Counter[str | None]()
        for turn in (*self._holding, *self._overdue):
            has[turn.asker] += turn.wanted
        may = (turn for turn in self._queue if turn.asker not in overdue or has[turn.asker] + turn.wanted <= self.number)
        return min(may, key=lambda turn: has[turn.asker], default=None)


class Turn:
    """The turn of one query: at first in the queue, then at its places, which it has until the block ends.

    Attributes:
        arrival: the number of its arrival.
        asker: whose query it is, if askers are told apart.
        wanted: how many places it waits for, or has.
        places: how many it has.
        since: monotonic time at which it got them.
        decided: set when it does not wait, or no longer.
    """

    def __init__(self, among: Places, arrival: int, asker: str | None) -> None:
        self.arrival = arrival
        self.asker = asker
        self.wanted = 0
        self.places = 0
        self.since = 0.0
        self.decided = threading.Event()
        self._among = among

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._among.exchange(self, 0)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its places; False if it did not get them in time, or gave up."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self.decided.wait(_LOOK_SECONDS if until is None else max(0.0, min(_LOOK_SECONDS, until - time.monotonic()))):
            self._among.recall()
            if until is not None and time.monotonic() >= until:
                break
        self._among.give_up(self)
        return self.places > 0

    def want_all(self) -> None:
        """Give back what it has and wait for all places that there are."""
        self._among.exchange(self, self._among.number)

    def give_up(self) -> None:
        """Stop waiting; nothing for one that has its places."""
        self._among.give_up(self)
