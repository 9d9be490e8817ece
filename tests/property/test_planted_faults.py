"""The comparison with the reference merge finds mistakes that somebody might make in the SQL of settling."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
from tests.support.arrivals import Arrivals
from tests.support.store import TestStore

from spanhouse.schema import conventions
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute

SEEDS: Final = (*range(45), 76, 279, 146, 149)
"""The last ones are circles of parents, and previews of messages of several roles."""
USER: Final = conventions.field_number("user")
PIECES: Final = ("insert", "settle_all", "insert", "settle_all")
FAULTS: Final = {
    # The merge itself: one round of settling shows them.
    "the earliest candidate is the root, whatever its kind": ("ORDER BY Rank, Start, SpanId,", "ORDER BY Start, Rank, SpanId,", ()),
    "what is below a span is taken from it without a limit": ("if(number < 0, 0, least(number, under))", "if(number < 0, 0, under)", ()),
    "a silent span hides what is below it": ("least(32, arrayCount(", "least(0, arrayCount(", ()),
    "of copies the one that came first counts": ("arrayReverseSort(AllSpans) AS copies", "AllSpans AS copies", ()),
    "of copies the one without stamps counts": ("spans, part.Stamped), part.`Spans.start`", "spans, 1 - part.Stamped), part.`Spans.start`", ()),
    "a detected environment hides a named one": (" AND v IN ('LOCAL', 'NOTEBOOK', 'JOB')", " AND v IN ('')", ()),
    "the earliest session counts": ("max(part.Session)", "min(part.Session)", ()),
    "the root's own session counts for nothing": ("if(RootRank < 3 AND OwnSession.value != '' AND", "if(0 AND", ()),
    "the root's word counts no more than others'": ("(RootRank < 3 AND one.id = SpanId, one.start,", "(0, one.start,", ()),
    "before is taken for after": ("Start) - arrayMin(AllSpans.3) AS Before", "Start) - arrayMin(AllSpans.3) + 1 AS Before", ()),
    "a service's time includes that of its children": ("duration - least(duration, children)", "duration", ()),
    # Parts, as the view makes them of an insert.
    "any span with flags is taken for one with a remote parent": ("bitAnd(Flags, 0x300) = 0x300, 1", "bitAnd(Flags, 0x100) = 0x100, 1", ()),
    "a parent that is stored counts as missing": ("bitAnd(Flags, 0x100) = 0 AND", "bitAnd(Flags, 0x100) = 0 OR", ()),
    "a candidate's name and length are those of its greatest copy": (" AND -toInt64(span.Duration) = whole.First.4", "", ()),
    # What spans say, in the words of many.
    "the root's session counts, whatever attribute says it": ("OwnSession.code <= 999 - LastSession.rank", "1", ()),
    "the latest user counts, whatever attribute says it": (
        f"(toUInt16(999 - sorted[indexOf(Fields, {USER}) AS",
        f"(toUInt16(0 * sorted[indexOf(Fields, {USER}) AS",
        (),
    ),
    "what a scrubber left counts": (" AND NOT startsWith(v, '[Scrubbed due to')", "", ()),
    "a scrubbed session that was set counts": (" AND startsWith(v, '[Scrubbed due to')", " AND startsWith(v, 'no')", ()),
    "a sum is read as a number": ("'gen_ai.usage.input_tokens'", "'gen_ai.usage.total_tokens'", ()),
    "JSON objects of numbers are passed over": ("greatest(coalesce(", "least(-1., coalesce(", ()),
    "every attribute for a word counts, not the first": (" AND nth = 1 AND", " AND", ()),
    "any word is taken for a type": ("OR lower(v) IN (", "OR lower(v) != '' OR lower(v) IN (", ()),
    "the entity of any span is a tool": (" OR has(Values, 'tool')", " OR 1", ()),
    "an error of a span that did not fail counts": (" OR failed)", " OR 1)", ()),
    "the message of the latest error counts": ("minIf(part.FirstError,", "maxIf(part.FirstError,", ()),
    "messages of errors are cut by bytes": ("substringUTF8(if(exceptions[1]", "substring(if(exceptions[1]", ()),
    "fingerprints hold numbers": ("'[0-9a-fA-F]*[0-9][0-9a-fA-F]*', '0'", "'no', '0'", ()),
    "a template of a prompt is its name as a whole": (", 1, 64)", ", 1, 6400)", ()),
    "the input of the latest span counts": ("minIf(part.Request,", "maxIf(part.Request,", ()),
    "the output of the span that started last counts": (
        "toUnixTimestamp64Nano(Timestamp) + Duration, SpanId",
        "toUnixTimestamp64Nano(Timestamp), SpanId",
        (),
    ),
    "the first message of a user is shown": ("arrayLast(one -> one.1 AND", "arrayFirst(one -> one.1 AND", ()),
    "messages of others are shown as those of users": ("'role') = 'user',", "'role') != '',", ()),
    "a circle has no root": ("CandidateRank = 3 AND hasAll(", "0 AND hasAll(", ()),
    "a list of tags hides a tag that was set": (
        "startsWith(k, 'mlflow.traceTag.'), Last)",
        "startsWith(k, 'mlflow.traceTag.') AND NOT has(listed, substring(k, 17)), Last)",
        (),
    ),
    "other tools' metadata hides what was set": (
        "startsWith(k, 'mlflow.traceMetadata.'), Last)",
        "startsWith(k, 'mlflow.traceMetadata.') AND NOT mapContains(Last, concat('mlflow.toolMetadata.', substring(k, 22))), Last)",
        (),
    ),
    "a name that an SDK made up hides the project": (" OR names[1] = 'service.name' AND", " OR names[1] = '' AND", ()),
    "numbers in a path stay": ("'^([0-9]+|", "'^(", ()),
    # Rows that take each other's place.
    "a root in doubt is not looked for again": (" OR (open.Doubt AND NOT open.Partial)", "", PIECES),
    "a root leaves the open row behind": ("if(RootRank > 0 OR Several, [", "if(RootRank > 0, [", PIECES),
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
    "a deleted trace keeps its row": ("bitNot(toUInt128(0)), 1, TraceHash", "bitNot(toUInt128(0)), 0, TraceHash", ("insert", "settle_all", "delete")),
}
TAKEN: Final = list(FAULTS)[:: 1 if os.environ.get("SPANHOUSE_TEST_EXAMPLES") else 3]
"""Each costs seconds: `make settled` takes all, the tests every third one."""
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


def difference(store: TestStore, execute: Execute, actions: Sequence[str]) -> str:
    """Let the same traces arrive at a store, and return the first difference from the reference; '' without one."""
    arrivals = Arrivals(store, SEEDS, random.Random(3), pieces=4 if actions else 1, execute=execute)
    for action in actions:
        arrivals.act(action)
    arrivals.finish()
    return next(arrivals.differences(), "")


@pytest.mark.parametrize("actions", [(), (*PIECES, "edit", "delete", "hours_pass")])
def test_without_a_mistake_nothing_differs(module_store: TestStore, actions: Sequence[str]) -> None:
    assert not difference(module_store, module_store.execute, actions)


@pytest.mark.parametrize("fault", TAKEN)
def test_a_mistake_in_the_sql_is_found(module_store: TestStore, fault: str) -> None:
    right, wrong, actions = FAULTS[fault]
    (view,) = (text for text in migrations.load().baseline.statements if f"MATERIALIZED VIEW IF NOT EXISTS {_VIEW}" in text)
    faulty = FaultyStore(module_store, right, wrong)
    if right in view:
        module_store.execute(f"DROP VIEW {_VIEW}")
        faulty.execute(view)
    try:
        assert difference(module_store, faulty.execute, actions)
    finally:
        if right in view:
            module_store.execute(f"DROP VIEW {_VIEW}")
            module_store.execute(view)
    assert faulty.met, "no statement has the text that was to be replaced"
