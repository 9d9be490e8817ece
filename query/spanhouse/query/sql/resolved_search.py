"""Resolved search: a predicate, an order and a start position, as one value."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Final

from spanhouse.query.language.ast import Operator
from spanhouse.query.language.order_by import Sorting, read_order, sorts_by_start
from spanhouse.query.language.predicate import EVERYTHING, All, AttributeField, Compare, Either, Field, OneOf, Predicate, at
from spanhouse.query.language.resolver import NO_FILTER, Filter
from spanhouse.schema.trace_attributes import ATTRIBUTES

EARLIEST_NS: Final = -(2**63)
LATEST_NS: Final = 2**63 - 1
_MS_NS: Final = 1_000_000
_START_SQL: Final = ATTRIBUTES["timestamp_ms"].sql

Key = str | int | float | None
"""Value of an order key of a row; None if missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search, resolved and ready to compile.

    Attributes:
        predicate: condition on traces.
        written: filter that the predicate was read from; the predicate may have further conditions.
        services: names of services, one of which the trace began in; None for any.
        order: total order of the rows.
        after: order keys of the row before the first wanted one; None to begin at the first.
        since_ns: earliest start of a trace, in Unix nanoseconds; None for any.
        until_ns: latest start of a trace, in Unix nanoseconds; None for any.
        now_ms: value of ``now()`` in the predicate, in Unix milliseconds.
    """

    predicate: Predicate = EVERYTHING
    written: Filter = NO_FILTER
    services: tuple[str, ...] | None = None
    order: tuple[Sorting, ...] = field(default_factory=lambda: read_order(None))
    after: tuple[Key, ...] | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    now_ms: int = field(default_factory=lambda: time.time_ns() // _MS_NS)

    def beginning(self, after: tuple[Key, ...] | None) -> Search:
        """Return the same search, beginning after the row with these order keys."""
        return replace(self, after=after)

    @property
    def clauses(self) -> tuple[Predicate, ...]:
        """Operands that the predicate joins by AND, with ``now()`` filled in."""
        predicate = at(self.predicate, self.now_ms)
        return predicate.operands if isinstance(predicate, All) else (predicate,)

    def start_bounds_ns(self) -> tuple[int, int]:
        """Return the earliest and latest start that a matching trace can have, in Unix nanoseconds, both inclusive."""
        earliest_ns = EARLIEST_NS if self.since_ns is None else self.since_ns
        latest_ns = LATEST_NS if self.until_ns is None else self.until_ns
        if self.after is not None and sorts_by_start(self.order[0]) and isinstance(key := self.after[0], int):
            if self.order[0].descending:
                latest_ns = min(latest_ns, _ns(key + 1))
            else:
                earliest_ns = max(earliest_ns, _ns(key))
        asked_earliest_ns, asked_latest_ns = _bounds_ns(All(self.clauses))
        return max(earliest_ns, asked_earliest_ns), min(latest_ns, asked_latest_ns)


def _bounds_ns(predicate: Predicate) -> tuple[int, int]:
    """Return the earliest and latest start of a trace that fulfils a predicate, in Unix nanoseconds, both inclusive."""
    earliest_ns, latest_ns = EARLIEST_NS, LATEST_NS
    match predicate:
        case All(operands=operands):
            bounds = [_bounds_ns(operand) for operand in operands]
            earliest_ns = max((earliest for earliest, _ in bounds), default=EARLIEST_NS)
            latest_ns = min((latest for _, latest in bounds), default=LATEST_NS)
        case Either(operands=operands):
            bounds = [_bounds_ns(operand) for operand in operands]
            earliest_ns, latest_ns = min(earliest for earliest, _ in bounds), max(latest for _, latest in bounds)
        case Compare(field=field, operator=operator, value=int() | float() as value) if is_start(field):
            if operator in {Operator.EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL}:
                earliest_ns = _ns(math.floor(value))
            if operator in {Operator.EQUAL, Operator.LESS, Operator.LESS_OR_EQUAL}:
                latest_ns = _ns(math.ceil(value) + 1)
        case OneOf(field=field, values=values, negated=False) if is_start(field):
            numbers = [value for value in values if isinstance(value, int | float)]
            earliest_ns, latest_ns = _ns(math.floor(min(numbers))), _ns(math.ceil(max(numbers)) + 1)
        case _:
            pass
    return earliest_ns, latest_ns


def is_start(field: Field) -> bool:
    """Tell whether a field is the trace's start."""
    return isinstance(field, AttributeField) and field.attribute.sql == _START_SQL


def _ns(milliseconds: int) -> int:
    """Convert milliseconds to nanoseconds, clamped to the range of Int64."""
    return max(EARLIEST_NS, min(milliseconds * _MS_NS, LATEST_NS))
