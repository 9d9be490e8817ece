"""The plan of a search: which statements find a page, in which order, and why. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from spanhouse.query.language.order_by import newest_first
from spanhouse.query.language.predicate import asks_of_spans
from spanhouse.query.sql.resolved_search import Key, Search
from spanhouse.query.sql.selects import compile_, compile_earliest, compile_first, compile_page
from spanhouse.query.sql.statement import Statement

MOST_LISTED: Final = 600
"""Traces that one statement names."""
_MOST_LOOKED_AT: Final = 10_000
"""Rows that are looked at for a page before all of them are."""
_WIDER: Final = 4
_FIRST_WITH_SPANS: Final = 20_000
"""Where spans are asked, those of so many of the newest traces are looked through first."""
_MOST_WITH_SPANS: Final = 2_000_000
_WIDER_WITH_SPANS: Final = 8
_MS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """An answer to a look.

    Attributes:
        rows: how many rows there are.
        earliest_ns: start of the earliest, in Unix nanoseconds, where they are the newest.
        starts_ns: their starts, if they are listed.
        trace_ids: the bare ids of their traces, likewise.
        last: order keys of the last one, where they are not the newest.
    """

    rows: int
    earliest_ns: int = 0
    starts_ns: tuple[int, ...] = ()
    trace_ids: tuple[str, ...] = ()
    last: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """A page in two statements: a look at the first rows that match, then the page among what these stand for.

    Attributes:
        search: what is searched for.
        most: rows that are looked at.
        limit: rows of the page.
        offset: rows that are left out before it.
    """

    search: Search
    most: int
    limit: int
    offset: int

    @property
    def listed(self) -> bool:
        """True if the second statement names the traces; else it reads all that start since the earliest."""
        return self.most <= MOST_LISTED and not _asks_of_spans(self.search)

    def look(self) -> Statement:
        """Give the first statement."""
        return (compile_first if self.listed else compile_earliest)(self.search, limit=self.most)

    def read(self, rows: Sequence[Sequence[Any]]) -> Found:
        """Read its rows."""
        if not self.listed:
            ((matching, earliest_ns),) = rows
            return Found(matching, earliest_ns)
        starts_ns, trace_ids = (tuple(row[column] for row in rows) for column in (0, 1))
        return Found(len(rows), min(starts_ns, default=0), starts_ns, trace_ids, tuple(rows[-1][2:]) if rows else ())

    def cut(self, found: Found) -> bool:
        """Tell whether there are more rows than were looked at, so that a page that comes out short may lack some."""
        return found.rows == self.most

    def page(self, found: Found) -> Statement:
        """Give the second statement: a page of what is certain to come before all that was not looked at."""
        search, last = self.search, None
        if self.cut(found) and newest_first(search.order):
            # The order tells no two starts of a millisecond apart: of the earliest one's, some may not be among the rows.
            since_ms = found.earliest_ns // _MS_NS + (1 if self.listed else 0)
            search = replace(search, since_ns=max(since_ms * _MS_NS, search.start_bounds_ns()[0]))
        elif self.cut(found):
            last = found.last
        if self.listed:
            return compile_page(search, found.starts_ns, found.trace_ids, limit=self.limit, offset=self.offset, last=last)
        return compile_(search, limit=self.limit, offset=self.offset)


@dataclass(frozen=True, slots=True)
class Planned:
    """A statement of a plan, and why it runs. What the answer to an earlier one puts into it is empty."""

    statement: Statement
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A way to a page: by the first of the looks that fills it, else by a statement that looks at everything.

    Attributes:
        looks: what to try first, each wider than the one before.
        everything: the statement that finds the page in any case.
        why: the reason for the looks, or for none.
    """

    looks: tuple[Look, ...]
    everything: Statement
    why: str

    def statements(self) -> tuple[Planned, ...]:
        """List the statements in the order in which they run; of looks the first one's."""
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
    return Plan(looks, compile_(search, limit=limit, offset=offset), why if looks else "look at everything")


def _sizes(search: Search, rows: int) -> tuple[list[int], str]:
    """Choose how many rows to look at for a page that ends after so many, and say why."""
    # Some rows that match were replaced by one that does not.
    wanted = rows * 5 // 4 + 16
    if _asks_of_spans(search):
        first = max(wanted, _FIRST_WITH_SPANS)
        sizes = _growing(first, _MOST_WITH_SPANS if newest_first(search.order) else 0, _WIDER_WITH_SPANS)
        return sizes, "newest first, and spans are asked: find the newest rows that match but for them"
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
