"""Results of a search: one page, or all matches as a lazy sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final, overload

from spanhouse.query.models import Trace
from spanhouse.query.search.executor import count, read_latest_ns, read_rows, to_traces
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.rows import read_keys
from spanhouse.query.store.connection import Connection

_FIRST_ROWS: Final = 100
_MOST_ROWS: Final = 6400
"""Most rows that one statement reads: few at first, for callers that stop early, then up to this."""


class Page(list[Trace]):
    """One page of traces.

    Attributes:
        token: ``page_token`` of the next page; None for the last page.
    """

    def __init__(self, traces: Iterable[Trace] = (), token: str | None = None) -> None:
        super().__init__(traces)
        self.token = token


class Matches(Sequence[Trace]):
    """All traces that match, as a lazy sequence: traces are read at the first access, and the length is counted by the engine.

    Traces that start later than the newest one stored at the time of the search are left out, also from the length.

    Attributes:
        token: None, since there is no further page.
    """

    token: Final = None

    def __init__(self, connection: Connection, search: Search, *, include_spans: bool) -> None:
        self._connection = connection
        self._search = replace(search, until_ns=read_latest_ns(connection))
        self._include_spans = include_spans
        self._block: tuple[int, list[Trace]] = (0, [])

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _length(self) -> int:
        return count(self._connection, self._search)

    def __iter__(self) -> Iterator[Trace]:
        search, limit = self._search, _FIRST_ROWS
        while True:
            rows = read_rows(self._connection, search, limit=limit)
            yield from to_traces(self._connection, rows, include_spans=self._include_spans)
            if len(rows) < limit:
                return
            search, limit = search.beginning(read_keys(rows[-1])), min(limit * 4, _MOST_ROWS)

    @overload
    def __getitem__(self, index: int) -> Trace: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trace]: ...
    def __getitem__(self, index: int | slice) -> Trace | list[Trace]:
        if isinstance(index, slice):
            wanted = range(*index.indices(len(self)))
            if not wanted:
                return []
            first = min(wanted[0], wanted[-1])
            rows = self._read(first, max(wanted[0], wanted[-1]) + 1 - first)
            return [rows[position - first] for position in wanted if position - first < len(rows)]
        position = index + len(self) if index < 0 else index
        first, block = self._block
        if not first <= position < first + len(block) and position >= 0:
            first = position - position % _FIRST_ROWS
            block = self._read(first, _FIRST_ROWS)
            self._block = (first, block)
        if not 0 <= position - first < len(block):
            raise IndexError(f"there are {len(self)} matches, none with index {index}")
        return block[position - first]

    def _read(self, first: int, limit: int) -> list[Trace]:
        rows = read_rows(self._connection, self._search, limit=limit, offset=first)
        return to_traces(self._connection, rows, include_spans=self._include_spans)

    def __repr__(self) -> str:
        return f"<all traces that match: {len(self)}>"
