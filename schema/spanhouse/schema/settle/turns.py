"""Turns of those who write rows of traces: of several processes that settle one store, one at a time does.

A row's place follows from the spans that its writer knew, and is a tombstone's where the writer knew of a row elsewhere. Two that write at once do
not know of each other. An embedded store has one writer, its owner's; on a server each ``serve`` is one, and they take turns.

A turn is a row of ``spanhouse_turns`` with a number that is the token of its insert: the engine stores one row of a number, whoever comes first. A
turn ends when it is given back; that of a process that was killed ends by itself, later than any statement that the process may have left behind.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from spanhouse.schema.tables.driver import Execute, number

LEASE_SECONDS: Final = 15
"""A turn ends by itself after this time."""
_STATEMENT_SECONDS: Final = 10
"""A statement begins with so much of the turn left; it is prolonged before."""
_POLL_SECONDS: Final = 0.05

_LAST: Final = "SELECT Turn, Holder, Until > now64(3) FROM spanhouse_turns ORDER BY Turn DESC LIMIT 1"
_TAKE: Final = """INSERT INTO spanhouse_turns (Turn, Holder, Until)
SELECT {{turn:UInt64}}, {{holder:String}}, addSeconds(now64(3), {{seconds:UInt32}})
SETTINGS async_insert = 0, insert_deduplicate = 1, insert_deduplication_token = 'turn {turn}'"""
_TAKEN_BY: Final = "SELECT Holder FROM spanhouse_turns WHERE Turn = {turn:UInt64} LIMIT 1"


class TurnLostError(Exception):
    """A turn was taken by another before its holder was done: it stood still for too long."""


class Turns:
    """Turns of one process; for one thread at a time.

    Args:
        execute: runs a statement on the store.
    """

    def __init__(self, execute: Execute) -> None:
        self._statement = execute
        self._me = secrets.token_hex(8)
        self._turn = 0
        self._ends = 0.0

    @contextmanager
    def taken(self, wait_seconds: float = 0) -> Iterator[bool]:
        """Take the turn and give it back; give False if others have it for all of the time to wait.

        Args:
            wait_seconds: how long to wait for it.
        """
        deadline = time.monotonic() + wait_seconds
        while not (mine := self._take()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        try:
            yield mine
        finally:
            if mine:
                self._next("", 0)

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[Any]]:
        """Run a statement of the turn, which is prolonged where it is needed.

        Raises:
            TurnLostError: the turn is another's.
        """
        # Also one that has ended is still this process's if nobody took the next.
        if self._ends - time.monotonic() < _STATEMENT_SECONDS and not self._next(self._me, LEASE_SECONDS):
            raise TurnLostError("another process took the turn to write rows of traces, since this one stood still")
        return self._statement(sql, parameters)

    def _take(self) -> bool:
        last = self._statement(_LAST)
        self._turn, holder, runs = (number(last[0][0]), str(last[0][1]), bool(last[0][2])) if last else (0, "", False)
        return not (holder and runs) and self._next(self._me, LEASE_SECONDS)

    def _next(self, holder: str, seconds: int) -> bool:
        """Take the turn after the last that is known, and return whether it was still there to be taken."""
        begun = time.monotonic()
        turn = self._turn + 1
        self._statement(_TAKE.format(turn=turn), {"turn": turn, "holder": holder, "seconds": seconds})
        if [str(row[0]) for row in self._statement(_TAKEN_BY, {"turn": turn})] != [holder]:
            return False
        self._turn, self._ends = turn, begun + seconds
        return True
