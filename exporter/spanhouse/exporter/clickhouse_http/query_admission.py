"""Admission control of queries: limits how many run or wait at once, in all and of one token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from spanhouse.exporter.clickhouse_http.engine_errors import TOO_MANY_SIMULTANEOUS_QUERIES, EngineError


class QueryAdmission:
    """Count of the admitted queries; for one event loop.

    Args:
        limit: of all queries.
        limit_per_token: of the queries of one token.
    """

    def __init__(self, limit: int, limit_per_token: int) -> None:
        self._limit = limit
        self._limit_per_token = limit_per_token
        self._admitted = 0
        self._admitted_by_token: Counter[str] = Counter()

    def check(self, token_name: str | None) -> None:
        """Refuse a query over the limits.

        Args:
            token_name: name of the query's token; None where tokens are not required.

        Raises:
            EngineError: as many queries are admitted as allowed, in all or of the token.
        """
        if self._admitted >= self._limit:
            raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, "Too many simultaneous queries: try again")
        if token_name is not None and self._admitted_by_token[token_name] >= self._limit_per_token:
            of_token = f"{self._limit_per_token} of this token run or wait"
            raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries: {of_token}, try again")

    @contextmanager
    def admit(self, token_name: str | None) -> Iterator[None]:
        """Check a query and count it until the end of the block.

        Raises:
            EngineError: as ``check``.
        """
        self.check(token_name)
        self._admitted += 1
        if token_name is not None:
            self._admitted_by_token[token_name] += 1
        try:
            yield
        finally:
            self._admitted -= 1
            if token_name is not None:
                self._admitted_by_token[token_name] -= 1
                self._admitted_by_token += Counter()  # drops tokens with no query left
