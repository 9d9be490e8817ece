"""Searches on the real engine give what a plain-Python reading of the language gives, for random traces and random filters."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import otlp
from tests.support.store import TestStore

from spanhouse.query import TraceClient

MISSING = None
"""The third truth of the reference: a field without a value."""

_services = itertools.count(1)

KEYS = ("k", "my key", "it's", "clé", "a.b", "name", "status", "back`tick", 'quo"te')
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "A",
            "ab",
            "aB",
            "é",
            "É",
            "10",
            "9",
            "1.0.0",
            "it's",
            '"',
            "%",
            "_",
            "100%",
            "\\",
            "a\\",
            "\\%",
            "NULL",
            "{p0:String}",
            "a\nb",
            "\0",
        ]
    ),
    st.text(alphabet=st.sampled_from("aAb%_\\'\"`é 1\n\0.;-"), max_size=4),
)
MAPS = st.dictionaries(st.sampled_from(KEYS), TEXTS, max_size=4)


@dataclass(frozen=True)
class Case:
    """One stored trace as the reference sees it."""

    process: dict[str, str]
    own: dict[str, str]
    tags: dict[str, str]
    edits: dict[str, str | None]
    name: str
    error: bool
    start_ms: int
    duration_ms: int
    client_request_id: str
    rootless: bool
    id: bytes = b""

    def value(self, column: str, key: str) -> Any:
        match column:
            case "metadata":
                return {**({} if self.rootless else self.process), **self.own}.get(key, MISSING)
            case "tag":
                sent = {**self.tags, **({"mlflow.traceName": self.shown_name} if self.shown_name else {})}
                return {**sent, **self.edits}.get(key, MISSING)
        return {
            "name": self.shown_name or MISSING,
            "status": "IN_PROGRESS" if self.rootless else "ERROR" if self.error else "OK",
            "timestamp_ms": self.start_ms,
            "execution_time_ms": MISSING if self.rootless else self.duration_ms,
            "end_time_ms": MISSING if self.rootless else self.start_ms + self.duration_ms,
            "client_request_id": self.client_request_id or MISSING,
            "request_id": self.trace_id,
        }[key]

    @property
    def shown_name(self) -> str:
        return "" if self.rootless else self.name

    @property
    def trace_id(self) -> str:
        return f"tr-{self.id.hex()}"

    def request(self, service: str) -> Any:
        attributes = {f"mlflow.traceMetadata.{key}": value for key, value in self.own.items()}
        attributes |= {f"mlflow.traceTag.{key}": value for key, value in self.tags.items()}
        attributes["mlflow.traceClientRequestId"] = self.client_request_id
        parent = b"\1" * 8 if self.rootless else b""
        root = otlp.span(
            self.name,
            trace_id=self.id,
            parent=parent,
            start_ns=self.start_ms * 1_000_000 + 123,
            duration_ns=self.duration_ms * 1_000_000 + 999_999,
            attributes=attributes,
            error=self.error,
        )
        return otlp.request([root], resource={"service.name": service, **self.process})


def store_cases(store: TestStore, cases: Sequence[Case], service: str) -> list[Case]:
    """Store the cases as new traces of a service, then their edits, those that lose among them."""
    cases = [replace(case, id=otlp.new_trace_id()) for case in cases]
    store.ingest(*[case.request(service) for case in cases])
    edits = [
        (case.id.hex(), key, text, at, int(text is None))
        for case in cases
        for key, value in case.edits.items()
        for at, text in enumerate([*("ab", None)[len(value or "") % 2 :], value])
    ]
    if edits:
        rows = [(trace_id, key, text or "", at, deleted) for trace_id, key, text, at, deleted in edits]
        store.client.insert("trace_tags", rows, column_names=["TraceId", "Key", "Value", "EditedAt", "Deleted"])
    return cases


CASES = st.lists(
    st.builds(
        Case,
        process=MAPS,
        own=MAPS,
        tags=MAPS,
        edits=st.dictionaries(st.sampled_from((*KEYS, "mlflow.traceName")), st.one_of(TEXTS, st.none()), max_size=2),
        name=st.sampled_from(["chat", "Chat", "", "it's"]),
        error=st.booleans(),
        start_ms=st.sampled_from([1_760_000_000_000, 1_760_000_000_001, 1_760_003_600_000]),
        duration_ms=st.integers(0, 3),
        client_request_id=st.sampled_from(["", "c1", "C1"]),
        rootless=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=6,
)


@dataclass(frozen=True)
class Clause:
    """A comparison: where it looks, how it compares, and with what."""

    column: str
    key: str
    operator: str
    values: Sequence[Any]

    def text(self) -> str:
        name = self.key if self.column == "attribute" else f"{self.column}.`{self.key.replace('`', '``')}`"
        if self.operator.startswith("IS"):
            return f"{name} {self.operator}"
        values = [_quoted(value) if isinstance(value, str) else str(value) for value in self.values]
        return f"{name} {self.operator} ({', '.join(values)})" if self.operator.endswith("IN") else f"{name} {self.operator} {values[0]}"

    def holds(self, case: Case) -> bool:
        value = case.value(self.column, self.key)
        if self.operator == "IS NULL":
            return value is MISSING
        if value is MISSING:
            return False
        wanted = self.values[0] if self.values else ""
        match self.operator:
            case "IS NOT NULL":
                return True
            case "IN":
                return value in self.values
            case "NOT IN":
                return value not in self.values
            case "LIKE":
                return _like(value, wanted)
            case "ILIKE":
                return _like(value.lower(), wanted.lower())
            case "RLIKE":
                return re.search(wanted, value, re.DOTALL) is not None
            case compared:
                return bool(COMPARED[compared](value, wanted))


COMPARED = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _like(value: str, pattern: str) -> bool:
    pieces = re.findall(r"\\[%_\\]|.", pattern, re.DOTALL)
    regex = "".join({"%": ".*", "_": "."}.get(piece, re.escape(piece[-1])) for piece in pieces)
    return re.fullmatch(regex, value, re.DOTALL) is not None


TEXT_FIELDS = st.one_of(
    st.tuples(st.sampled_from(["metadata", "tag"]), st.sampled_from((*KEYS, "mlflow.traceName", "never seen"))),
    st.tuples(st.just("attribute"), st.sampled_from(["name", "status", "client_request_id"])),
)
NUMBER_FIELDS = st.tuples(st.just("attribute"), st.sampled_from(["timestamp_ms", "execution_time_ms", "end_time_ms"]))
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 1.5, 2, 10**20, -(10**20), 1_760_000_000_000, 1_760_000_000_000.5, 1_760_000_000_001, 1_760_003_600_002]),
    st.integers(-3, 5),
)


@st.composite
def clauses(draw: st.DrawFn) -> Clause:
    if draw(st.booleans()) and draw(st.booleans()):
        operator = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "IN", "NOT IN", "IS NULL", "IS NOT NULL"]))
        return Clause(*draw(NUMBER_FIELDS), operator, draw(st.lists(NUMBERS, min_size=1, max_size=3)))
    operator = draw(st.sampled_from(["=", "=", "!=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL", "RLIKE"]))
    values = draw(st.lists(st.one_of(TEXTS, st.sampled_from(["chat", "OK", "ERROR", "c1", "%a%", "_", "%"])), min_size=1, max_size=3))
    if operator == "RLIKE":
        values = [draw(st.sampled_from(["", "^", "^.", ".*", "."])) + re.escape(values[0])]
    return Clause(*draw(TEXT_FIELDS), operator, values)


@pytest.fixture(scope="module")
def client() -> Iterator[tuple[TestStore, TraceClient]]:
    store = TestStore()
    with TraceClient(store.dsn) as made:
        yield store, made
    store.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cases=CASES, filters=st.lists(st.lists(clauses(), max_size=3), min_size=8, max_size=12))
def test_a_search_finds_exactly_what_the_reference_evaluator_finds(
    client: tuple[TestStore, TraceClient], cases: list[Case], filters: list[list[Clause]]
) -> None:
    store, searcher = client
    service = f"service {next(_services)}"
    cases = store_cases(store, cases, service)
    in_order = sorted(cases, key=lambda case: (-case.start_ms, case.trace_id))
    for chosen in filters:
        text = " AND ".join(clause.text() for clause in chosen)
        expected = [case.trace_id for case in in_order if all(clause.holds(case) for clause in chosen)]
        found = searcher.search_traces([service], text)
        assert [trace.info.trace_id for trace in found] == expected, text
        assert len(found) == len(expected), text


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    cases=CASES,
    keys=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["metadata", "tag"]), st.sampled_from(KEYS)),
            st.tuples(st.just("attribute"), st.sampled_from(["name", "status", "timestamp_ms", "execution_time_ms", "end_time_ms"])),
        ),
        max_size=3,
        unique=True,
    ),
    directions=st.lists(st.booleans(), min_size=3, max_size=3),
    size=st.integers(1, 3),
)
def test_pages_follow_one_another_in_the_order_asked_for_with_missing_values_last(
    client: tuple[TestStore, TraceClient], cases: list[Case], keys: list[tuple[str, str]], directions: list[bool], size: int
) -> None:
    store, searcher = client
    service = f"service {next(_services)}"
    cases = store_cases(store, cases, service)
    expected = sorted(cases, key=lambda case: (-case.start_ms, case.trace_id))
    for (column, key), descending in reversed(list(zip(keys, directions, strict=False))):
        present = [case for case in expected if case.value(column, key) is not MISSING]
        absent = [case for case in expected if case.value(column, key) is MISSING]
        # Sorting is stable in both directions, and texts sort by their bytes.
        present.sort(key=lambda case: _sortable(case.value(column, key)), reverse=descending)
        expected = present + absent
    order = [
        f"{key if column == 'attribute' else f'{column}.`' + key.replace('`', '``') + '`'} {'DESC' if descending else 'ASC'}"
        for (column, key), descending in zip(keys, directions, strict=False)
    ]
    found: list[str] = []
    page = searcher.search_traces([service], max_results=size, order_by=order)
    found += [trace.info.trace_id for trace in page]
    while page.token is not None:
        assert len(page) == size
        page = searcher.search_traces([service], max_results=size, order_by=order, page_token=page.token)
        found += [trace.info.trace_id for trace in page]
    assert found == [case.trace_id for case in expected], order


def _sortable(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
