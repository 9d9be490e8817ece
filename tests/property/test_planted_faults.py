"""The comparison with the reference merge finds mistakes that somebody might make in the SQL of settling."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest
from tests.support.arrivals import Arrivals
from tests.support.store import TestStore

from spanhouse.schema import migrations
from spanhouse.schema.execute import Execute

SEEDS: Final = (*range(30), 55, 74, 81, 86, 90, 95, 32, 100, 101, 212, 363)
"""The last ones have a root that is in doubt while not all is there, or one span that comes again with other content."""
PIECES: Final = ("insert", "settle_all", "insert", "settle_all")
FAULTS: Final = {
    # The merge itself: one round of settling shows them.
    "the earliest candidate is the root, whatever its kind": ("ORDER BY Rank, Start, SpanId,", "ORDER BY Start, Rank, SpanId,", ()),
    "what is below a span is taken from it without a limit": ("if(number < 0, 0, least(number, under))", "if(number < 0, 0, under)", ()),
    "a silent span hides what is below it": ("least(32, arrayCount(", "least(0, arrayCount(", ()),
    "of copies the one that came first counts": ("arrayReverseSort(AllSpans) AS copies", "AllSpans AS copies", ()),
    "of copies the one without stamps counts": ("spans, Stamped), `Spans.start`", "spans, 1 - Stamped), `Spans.start`", ()),
    "a detected environment hides a named one": (" AND v IN ('LOCAL', 'NOTEBOOK', 'JOB')", " AND v IN ('')", ()),
    "the earliest session counts": ("max(Session) OVER w", "min(Session) OVER w", ()),
    "the root's own session counts for nothing": ("if(OwnSession != '' AND Rank < 3,", "if(0,", ()),
    "the root's word counts no more than others'": ("(one.id = SpanId AND Rank < 3, one.start,", "(0, one.start,", ()),
    "before is taken for after": ("Start) - arrayMin(AllSpans.3) AS Before", "Start) - arrayMin(AllSpans.3) + 1 AS Before", ()),
    "a service's time includes that of its children": ("duration - least(duration, children)", "duration", ()),
    # Parts, as the view makes them of an insert.
    "any span with flags is taken for one with a remote parent": ("bitAnd(Flags, 0x300) = 0x300, 1", "bitAnd(Flags, 0x100) = 0x100, 1", ()),
    "a parent that is stored counts as missing": ("bitAnd(Flags, 0x100) = 0 AND", "bitAnd(Flags, 0x100) = 0 OR", ()),
    # Rows that take each other's place.
    "a root in doubt is not looked for again": (" OR (open.Doubt AND NOT open.Partial)", "", PIECES),
    "a root leaves the open row behind": ("if(Rank > 0 OR Several, [", "if(Rank > 0, [", PIECES),
    "a root that moves leaves its old row behind": (
        "arrayFilter(one -> one.1 != target, live.Places)",
        "arrayFilter(one -> 0, live.Places)",
        (*PIECES, "age"),
    ),
    "a row of fewer spans may replace one of more": (
        "bitShiftLeft(toUInt128(length(Spans)), 96)",
        "bitShiftLeft(toUInt128(100 - length(Spans)), 96)",
        PIECES,
    ),
    "a row of fewer copies may replace one of more": ("bitShiftLeft(least(Copies, 1023), 6)", "bitShiftLeft(least(1000 - Copies, 1023), 6)", PIECES),
    "spans that come late stand for their whole trace": ("trace.Older = 0, 'late',", "", (*PIECES, "hours_pass")),
    # What is done to traces.
    "edits of tags are lost when a row is made anew": ("if(empty(edits.Edits), Tags, mapUpdate(", "if(1, Tags, mapUpdate(", (*PIECES, "edit")),
    "a deleted trace keeps its row": ("bitNot(toUInt128(0)), 1, Key", "bitNot(toUInt128(0)), 0, Key", ("insert", "settle_all", "delete")),
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


def differences(store: TestStore, execute: Execute, actions: Sequence[str]) -> list[str]:
    """Let the same traces arrive at a store, and return what differs from the reference."""
    arrivals = Arrivals(store, SEEDS, random.Random(3), pieces=4 if actions else 1, execute=execute)
    for action in actions:
        arrivals.act(action)
    arrivals.finish()
    return arrivals.differences()


@pytest.mark.parametrize("actions", [(), (*PIECES, "edit", "delete", "hours_pass")])
def test_without_a_mistake_nothing_differs(engine: TestStore, actions: Sequence[str]) -> None:
    assert not differences(engine, engine.execute, actions)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mistake_in_the_sql_is_found(engine: TestStore, fault: str) -> None:
    right, wrong, actions = FAULTS[fault]
    (view,) = (text for text in migrations.load().baseline.statements if f"MATERIALIZED VIEW IF NOT EXISTS {_VIEW}" in text)
    faulty = FaultyStore(engine, right, wrong)
    if right in view:
        engine.execute(f"DROP VIEW {_VIEW}")
        faulty.execute(view)
    try:
        assert differences(engine, faulty.execute, actions)
    finally:
        if right in view:
            engine.execute(f"DROP VIEW {_VIEW}")
            engine.execute(view)
    assert faulty.met, "no statement has the text that was to be replaced"
