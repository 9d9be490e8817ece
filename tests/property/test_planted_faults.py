"""The comparison with the reference merge finds mistakes that somebody might make in the SQL of settling."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest
from tests.support.arrivals import Arrivals
from tests.support.store import TestStore

SEEDS: Final = range(25)
ACTIONS: Final = ("insert", "settle", "edit", "insert", "overtaken", "crash", "time_passes", "insert", "settle", "remake", "age", "delete", "edit", "time_passes")
FAULTS: Final = {
    "the earliest candidate is the root, whatever its kind": ("ORDER BY Rank, Start, SpanId,", "ORDER BY Start, Rank, SpanId,"),
    "any span with flags is taken for one with a remote parent": ("bitAnd(Flags, 0x300) = 0x300, 1", "bitAnd(Flags, 0x100) = 0x100, 1"),
    "a parent that is stored counts as missing": (" AND cityHash64(TraceId, ParentSpanId) NOT IN (SELECT cityHash64(TraceId, SpanId) FROM otel_traces)", ""),
    "a root in doubt is not looked for again": ("open.Doubt OR ", ""),
    "what is below a span is taken from it without a limit": ("if(number < 0, 0, least(number, under))", "if(number < 0, 0, under)"),
    "a silent span hides what is below it": ("least(32, arrayCount(", "least(0, arrayCount("),
    "of copies the one that came first counts": ("arrayReverseSort(AllSpans) AS copies", "AllSpans AS copies"),
    "of copies the one without stamps counts": ("spans, Stamped), `Spans.start`", "spans, 1 - Stamped), `Spans.start`"),
    "a detected environment hides a named one": (" AND v IN ('LOCAL', 'NOTEBOOK', 'JOB')", " AND v IN ('')"),
    "the earliest session counts": ("max(Session) OVER w", "min(Session) OVER w"),
    "the root's own user counts for nothing": ("if(OwnUser != '' AND Rank < 3,", "if(0,"),
    "the root's word counts no more than others'": ("(one.id = SpanId AND Rank < 3, one.start,", "(0, one.start,"),
    "a root leaves the open row behind": ("if(Several, [", "if(0, ["),
    "a root that moves leaves its old row behind": ("arrayFilter(one -> one.1 != target, live.Places)", "arrayFilter(one -> 0, live.Places)"),
    "a row with fewer spans may replace one with more": ("bitShiftLeft(toUInt128(SpanCount), 96)", "toUInt128(0)"),
    "a row of fewer copies may replace one of more": ("bitShiftLeft(least(Copies, 1023), 6)", "0"),
    "edits of tags are lost when a row is made anew": ("if(empty(edits.Edits), Tags, mapUpdate(", "if(1, Tags, mapUpdate("),
    "a deleted tag stays": ("AND edit.4 = 0", ""),
    "spans that come late stand for their whole trace": ("trace.Older = 0, 'late',", ""),
    "a deleted trace comes back": ("AND made.TraceId NOT IN (", "AND 1 OR made.TraceId NOT IN ("),
    "before is taken for after": ("toUnixTimestamp64Nano(Start) - arrayMin(AllSpans.3) AS Before", "arrayMax(AllSpans.3) - toUnixTimestamp64Nano(Start) AS Before"),
    "a service's time includes that of its children": ("duration - least(duration, children)", "duration"),
}
_VIEW: Final = "spanhouse_spans_to_parts"


class FaultyStore:
    """A store whose statements hold a mistake.

    Attributes:
        met: True if a statement had the text that the mistake replaces.
    """

    def __init__(self, store: TestStore, right: str, wrong: str) -> None:
        self._store, self._right, self._wrong = store, right, wrong
        self.met = False

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Sequence[Any]]:
        self.met |= self._right in sql
        return self._store.execute(sql.replace(self._right, self._wrong), parameters)


@pytest.fixture(scope="module")
def engine() -> Iterator[TestStore]:
    made = TestStore()
    yield made
    made.close()


def differences(store: TestStore, right: str = "", wrong: str = "") -> list[str]:
    """Let the same traces arrive at a store with a mistake, and return what differs from the reference."""
    faulty = FaultyStore(store, right, wrong) if right else None
    arrivals = Arrivals(store, SEEDS, random.Random(1), faulty.execute if faulty else None)
    for action in ACTIONS:
        arrivals.act(action)
    arrivals.finish()
    assert faulty is None or faulty.met, "no statement has the text that was to be replaced"
    return arrivals.differences()
