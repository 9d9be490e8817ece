"""A query under way, as those see it who may want it to end."""

from __future__ import annotations

import threading
import uuid

from spanhouse.exporter.clickhouse_http.engine_connection import Result
from spanhouse.exporter.clickhouse_http.errors import QUERY_WAS_CANCELLED, EngineError
from spanhouse.exporter.clickhouse_http.places import Turn
from spanhouse.exporter.clickhouse_http.query_log import Entry


class Running:
    """One query. Its text begins with a comment by which it is found in the engine.

    Attributes:
        turn: its places, or its wait for them.
        comment: the comment.
        entry: what the query log will say.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.comment = f"/* {uuid.uuid4().hex} */"
        self.entry = Entry()
        self._unwanted = threading.Event()

    def mark(self, sql: str) -> str:
        """The statement with the comment before it."""
        return f"{self.comment} {sql}"

    def count(self, piece: Result) -> Result:
        """Add a piece of the result to what is known; gives it back."""
        self.entry.rows += piece.rows
        self.entry.read_rows += piece.read_rows
        self.entry.read_bytes += piece.read_bytes
        self.entry.result_bytes += len(piece.body)
        return piece

    def leave(self) -> None:
        """Say that nobody waits for the result any more."""
        self._unwanted.set()
        self.turn.give_up()

    def check(self) -> None:
        """Go on only if somebody waits.

        Raises:
            EngineError: nobody does.
        """
        if self._unwanted.is_set():
            raise EngineError(QUERY_WAS_CANCELLED, "The client has left")
