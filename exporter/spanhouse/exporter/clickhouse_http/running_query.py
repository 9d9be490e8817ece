"""Handle to a running query, used to cancel it."""

from __future__ import annotations

import threading
import uuid

from spanhouse.exporter.clickhouse_http.engine_connection import Result
from spanhouse.exporter.clickhouse_http.engine_errors import QUERY_WAS_CANCELLED, EngineError
from spanhouse.exporter.clickhouse_http.query_log import Entry
from spanhouse.exporter.clickhouse_http.query_slots import SlotRequest


class RunningQuery:
    """One query, identified in the engine by a comment at the beginning of its text.

    Attributes:
        slots: its request for slots.
        comment: the comment.
        entry: its entry of the query log.
    """

    def __init__(self, slots: SlotRequest) -> None:
        self.slots = slots
        self.comment = f"/* {uuid.uuid4().hex} */"
        self.entry = Entry()
        self._cancelled = threading.Event()

    def with_comment(self, sql: str) -> str:
        """Return a statement with the comment before it."""
        return f"{self.comment} {sql}"

    def count(self, piece: Result) -> Result:
        """Add a piece of the result to the log entry's counts, and return it."""
        self.entry.rows += piece.rows
        self.entry.read_rows += piece.read_rows
        self.entry.read_bytes += piece.read_bytes
        self.entry.result_bytes += len(piece.body)
        return piece

    def cancel(self) -> None:
        """Mark the query as cancelled, and stop its wait for slots."""
        self._cancelled.set()
        self.slots.cancel()

    def check_cancelled(self) -> None:
        """Stop a cancelled query.

        Raises:
            EngineError: the query is cancelled.
        """
        if self._cancelled.is_set():
            raise EngineError(QUERY_WAS_CANCELLED, "The client has left")
