"""Leases (turns) of processes that write rows of traces: of several processes that settle one store, one writes at a time.

A row's place follows from the spans that its writer knew; if the writer knew a row at another place, it writes a tombstone there. Concurrent
writers would not know each other's rows. An embedded store has one writer, its owner; on a server each ``serve`` is a writer, and they take turns.

A turn is a row of ``spanhouse_turns`` whose number is the deduplication token of its insert: the engine stores only the first row of a number.
A turn ends when it is given back. The turn of a killed process expires, later than any statement that the process may have left running.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from spanhouse.schema.tables.driver import Execute, number

LEASE_SECONDS: Final = 15
"""A turn expires after this time."""
_STATEMENT_SECONDS: Final = 10
"""Time of the turn that must be left when a statement begins; otherwise the turn is prolonged first."""
_POLL_SECONDS: Final = 0.05

_LAST: Final = "SELECT Turn, Holder, Until > now64(3) FROM spanhouse_turns ORDER BY Turn DESC LIMIT 1"
_TAKE: Final = """INSERT INTO spanhouse_turns (Turn, Holder, Until)
SELECT {{turn:UInt64}}, {{holder:String}}, addSeconds(now64(3), {{seconds:UInt32}})
SETTINGS async_insert = 0, insert_deduplicate = 1, insert_deduplication_token = 'turn {turn}'"""
_TAKEN_BY: Final = "SELECT Holder FROM spanhouse_turns WHERE Turn = {turn:UInt64} LIMIT 1"


class TurnLostError(Exception):
    """Another process took the turn before its holder was done: the holder stood still for too long."""


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
        """Hold the turn; yield False if other processes hold it during the whole wait.

        Args:
            wait_seconds: longest time to wait for the turn.
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
        """Run a statement within the turn, which is prolonged if it would expire.

        Raises:
            TurnLostError: another process has the turn.
        """
        # An expired turn still belongs to this process if nobody took the next one.
        if self._ends - time.monotonic() < _STATEMENT_SECONDS and not self._next(self._me, LEASE_SECONDS):
            raise TurnLostError("another process took the turn to write rows of traces, since this one stood still")
        return self._statement(sql, parameters)

    def _take(self) -> bool:
        last = self._statement(_LAST)
        self._turn, holder, runs = (number(last[0][0]), str(last[0][1]), bool(last[0][2])) if last else (0, "", False)
        return not (holder and runs) and self._next(self._me, LEASE_SECONDS)

    def _next(self, holder: str, seconds: int) -> bool:
        """Try to take the turn after the last known one, and return whether it was free."""
        begun = time.monotonic()
        turn = self._turn + 1
        self._statement(_TAKE.format(turn=turn), {"turn": turn, "holder": holder, "seconds": seconds})
        if [str(row[0]) for row in self._statement(_TAKEN_BY, {"turn": turn})] != [holder]:
            return False
        self._turn, self._ends = turn, begun + seconds
        return True
