"""A query under way, as those see it who may want it to end."""

from __future__ import annotations

import threading
import uuid

from spanhouse.exporter.clickhouse_http.errors import QUERY_WAS_CANCELLED, EngineError


class Running:
    """One query. Its text begins with a comment by which it is found in the engine.

    Attributes:
        comment: the comment.
    """

    def __init__(self) -> None:
        self.comment = f"/* {uuid.uuid4().hex} */"
        self._unwanted = threading.Event()

    def mark(self, sql: str) -> str:
        """The statement with the comment before it."""
        return f"{self.comment} {sql}"

    def leave(self) -> None:
        """Say that nobody waits for the result any more."""
        self._unwanted.set()

    def check(self) -> None:
        """Go on only if somebody waits.

        Raises:
            EngineError: nobody does.
        """
        if self._unwanted.is_set():
            raise EngineError(QUERY_WAS_CANCELLED, "The client has left")
