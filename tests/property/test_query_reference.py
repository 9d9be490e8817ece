"""Searches on the real engine give what a plain-Python reading of the language gives, for random traces and random filters."""

from __future__ import annotations

import itertools
import operator
import random
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
from spanhouse.query.compile_ import conditions
from spanhouse.query.resolve import read_filter
from spanhouse.query.search import Search
from spanhouse.query.statement import Parameters

MISSING = None
"""A field without a value: no comparison with it holds."""

_services = itertools.count(1)

KEYS = ("k", "my key", "it's", "clé", "a.b", "name", "status", "back`tick", 'quo"te')
SOME_TEXTS = (
    *("", "a", "A", "ab", "aB", "é", "É", "10", "9", "1.0.0", "it's", '"', "%", "_", "100%", "\\", "a\\", "\\%", "NULL", "{p0:String}"),
    *("a\nb", "\0", "' OR 1 --", "a%b", "a_b", "a`b", "aé1", ";"),
)
TEXTS = st.one_of(st.sampled_from(SOME_TEXTS), st.text(alphabet=st.sampled_from("aAb%_\\'\"`é 1\n\0.;-"), max_size=4))


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


def random_cases(source: random.Random, number: int) -> list[Case]:
    """Traces of all kinds, made from one source of chance."""

    def texts() -> dict[str, str]:
        return {key: source.choice(SOME_TEXTS) for key in source.sample(KEYS, source.randrange(5))}

    return [
        Case(
            process=texts(),
            own=texts(),
            tags=texts(),
            edits={key: source.choice([*SOME_TEXTS, None]) for key in source.sample((*KEYS, "mlflow.traceName"), source.choice([0, 0, 1, 2]))},
            name=source.choice(["chat", "Chat", "", "it's"]),
            error=source.random() < 0.5,
            start_ms=source.choice([1_760_000_000_000, 1_760_000_000_001, 1_760_003_600_000]),
            duration_ms=source.randrange(4),
            client_request_id=source.choice(["", "c1", "C1"]),
            rootless=source.random() < 0.2,
        )
        for _ in range(number)
    ]


CASES = st.builds(random_cases, st.randoms(use_true_random=False), st.integers(1, 6))


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


@dataclass(frozen=True)
class Joined:
    """Filters joined by one word; the result stands in parentheses."""

    word: str
    parts: Sequence[Filter]

    def text(self) -> str:
        return "(" + f" {self.word} ".join(part.text() for part in self.parts) + ")"

    def holds(self, case: Case) -> bool:
        return (any if self.word == "OR" else all)(part.holds(case) for part in self.parts)


@dataclass(frozen=True)
class Negated:
    """What holds where the part does not."""

    part: Filter

    def text(self) -> str:
        return f"NOT {self.part.text()}"

    def holds(self, case: Case) -> bool:
        return not self.part.holds(case)


Filter = Clause | Joined | Negated
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    clauses(),
    lambda parts: st.one_of(
        st.builds(Joined, st.sampled_from(["AND", "AND", "", "OR"]), st.lists(parts, min_size=2, max_size=3)), st.builds(Negated, parts)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def client() -> Iterator[tuple[TestStore, TraceClient]]:
    store = TestStore()
    with TraceClient(store.dsn) as made:
        yield store, made
    store.close()


@pytest.fixture(scope="module")
def population() -> Iterator[tuple[TestStore, Sequence[Case]]]:
    """A store with traces of many kinds, the same in every run."""
    store = TestStore()
    cases = store_cases(store, random_cases(random.Random(7), 120), "tests")
    yield store, cases
    store.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(filters=st.lists(FILTERS, min_size=20, max_size=30))
def test_a_filter_holds_for_exactly_the_traces_that_the_reference_evaluator_says(
    population: tuple[TestStore, Sequence[Case]], filters: list[Filter]
) -> None:
    store, cases = population
    parameters = Parameters()
    judged = [" AND ".join(conditions(Search(predicate=read_filter(chosen.text())), parameters)) for chosen in filters]
    # All of them in one statement: each column is what a search has as its WHERE.
    sql = f"SELECT TraceId, [{', '.join(judged)}] FROM traces"
    bound = {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.bound().items()}
    answers = {f"tr-{trace_id}": row for trace_id, row in store.execute(sql, bound)}
    assert len(answers) == len(cases)
    for number, chosen in enumerate(filters):
        expected = {case.trace_id for case in cases if chosen.holds(case)}
        assert {trace_id for trace_id, row in answers.items() if row[number]} == expected, chosen.text()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(chosen=FILTERS)
def test_a_search_finds_exactly_what_the_reference_evaluator_finds(population: tuple[TestStore, Sequence[Case]], chosen: Filter) -> None:
    store, cases = population
    expected = [case.trace_id for case in sorted(cases, key=lambda case: (-case.start_ms, case.trace_id)) if chosen.holds(case)]
    with TraceClient(store.dsn) as searcher:
        found = searcher.search_traces(filter_string=chosen.text())
        assert [trace.info.trace_id for trace in found] == expected, chosen.text()
        assert len(found) == len(expected)
        page = searcher.search_traces(filter_string=chosen.text(), max_results=5)
        assert [trace.info.trace_id for trace in page] == expected[:5], chosen.text()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
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
