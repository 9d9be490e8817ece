"""Query plan of a search: the statements that find a page, their order, and the reasons. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from spanhouse.query.language.order_by import newest_first
from spanhouse.query.language.predicate import asks_of_spans
from spanhouse.query.sql.resolved_search import Key, Search
from spanhouse.query.sql.selects import compile_earliest, compile_first, compile_page, compile_search
from spanhouse.query.sql.statement import Statement

MOST_LISTED: Final = 600
"""Most traces that one statement names."""
_MOST_LOOKED_AT: Final = 10_000
"""Most rows that a look reads before everything is read."""
_WIDER: Final = 4
_FIRST_WITH_SPANS: Final = 20_000
"""Newest traces whose spans the first look reads, if the search has conditions on spans."""
_MOST_WITH_SPANS: Final = 2_000_000
_WIDER_WITH_SPANS: Final = 8
_MS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """Result of a look.

    Attributes:
        rows: number of rows.
        earliest_ns: start of the earliest row, in Unix nanoseconds, if the order is newest first.
        starts_ns: starts of the rows, if they are listed.
        trace_ids: bare ids of the rows' traces, if they are listed.
        last: order keys of the last row, if the order is not newest first.
    """

    rows: int
    earliest_ns: int = 0
    starts_ns: tuple[int, ...] = ()
    trace_ids: tuple[str, ...] = ()
    last: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """A page in two statements: a look at the first rows that match, then the page among their traces.

    Attributes:
        search: search to plan.
        most: number of rows to look at.
        limit: number of rows of the page.
        offset: number of rows before the page.
    """

    search: Search
    most: int
    limit: int
    offset: int

    @property
    def listed(self) -> bool:
        """True if the second statement names the traces; else it reads all traces since the earliest one."""
        return self.most <= MOST_LISTED and not _asks_of_spans(self.search)

    def look(self) -> Statement:
        """Return the first statement."""
        return (compile_first if self.listed else compile_earliest)(self.search, limit=self.most)

    def read(self, rows: Sequence[Sequence[Any]]) -> Found:
        """Read the rows of the first statement."""
        if not self.listed:
            ((matching, earliest_ns),) = rows
            return Found(matching, earliest_ns)
        starts_ns, trace_ids = (tuple(row[column] for row in rows) for column in (0, 1))
        return Found(len(rows), min(starts_ns, default=0), starts_ns, trace_ids, tuple(rows[-1][2:]) if rows else ())

    def cut(self, found: Found) -> bool:
        """Tell whether there are more rows than were looked at, so that a short page may lack some."""
        return found.rows == self.most

    def page(self, found: Found) -> Statement:
        """Return the second statement: a page of the traces that certainly come before all rows that were not looked at."""
        search, last = self.search, None
        if self.cut(found) and newest_first(search.order):
            # The order has whole milliseconds: other traces of the earliest millisecond may be missing among the rows.
            since_ms = found.earliest_ns // _MS_NS + (1 if self.listed else 0)
            search = replace(search, since_ns=max(since_ms * _MS_NS, search.start_bounds_ns()[0]))
        elif self.cut(found):
            last = found.last
        if self.listed:
            return compile_page(search, found.starts_ns, found.trace_ids, limit=self.limit, offset=self.offset, last=last)
        return compile_search(search, limit=self.limit, offset=self.offset)


@dataclass(frozen=True, slots=True)
class Planned:
    """A statement of a plan, and the reason for it. Parameters from the result of an earlier statement are empty."""

    statement: Statement
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a page: the first look that fills it, else a statement that reads everything.

    Attributes:
        looks: looks to try first, each wider than the one before.
        everything: statement that finds the page in any case.
        why: reason for the looks, or for none.
    """

    looks: tuple[Look, ...]
    everything: Statement
    why: str

    def statements(self) -> tuple[Planned, ...]:
        """Return the statements in the order in which they run; of the looks only the first."""
        if not self.looks:
            return (Planned(self.everything, self.why),)
        first, *wider = self.looks
        among = "the traces that were found" if first.listed else "all traces since the earliest row that was found"
        again = f"after looks at {', '.join(f'{look.most:,}' for look in wider)} rows, " if wider else ""
        return (
            Planned(first.look(), f"{self.why}: {first.most:,}, those that were replaced since among them"),
            Planned(first.page(Found(0)), f"the page among {among} and those that wait for their root, as they are now"),
            Planned(self.everything, f"only if the page is short and there may be more: {again}look at everything"),
        )


def plan(search: Search, *, limit: int, offset: int = 0) -> Plan:
    """Plan a page of a search."""
    sizes, why = _sizes(search, limit + offset)
    looks = tuple(Look(search, most, limit, offset) for most in sizes)
    return Plan(looks, compile_search(search, limit=limit, offset=offset), why if looks else "look at everything")


def _sizes(search: Search, rows: int) -> tuple[list[int], str]:
    """Choose the numbers of rows to look at for a page that ends after ``rows`` rows, and return the reason with them."""
    # Some matching rows were replaced by rows that do not match.
    wanted = rows * 5 // 4 + 16
    if _asks_of_spans(search):
        first = max(wanted, _FIRST_WITH_SPANS)
        sizes = _growing(first, _MOST_WITH_SPANS if newest_first(search.order) else 0, _WIDER_WITH_SPANS)
        return sizes, "newest first, with conditions on spans: find the newest rows that match all other conditions"
    if newest_first(search.order):
        return _growing(wanted, _MOST_LOOKED_AT, _WIDER), "newest first: find the newest rows that match"
    return _growing(wanted, MOST_LISTED, _WIDER), "find the first rows that match"


def _growing(first: int, most: int, factor: int) -> list[int]:
    sizes = []
    while first <= most:
        sizes.append(first)
        first *= factor
    return sizes


def _asks_of_spans(search: Search) -> bool:
    return any(map(asks_of_spans, search.clauses))
