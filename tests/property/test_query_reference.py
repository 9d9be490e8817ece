"""Searches on the real engine give what a plain-Python reading of the language gives, for random traces and random filters."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from tests.support.filters import (
    KEYS,
    MISSING,
    SOME_TEXTS,
    Case,
    Clause,
    Filter,
    Given,
    Joined,
    Negated,
    holds,
    quoted,
    quoted_key,
    random_cases,
    store_cases,
    version,
)
from tests.support.store import TestStore

from spanhouse.query import TraceClient
from spanhouse.query.language.predicate import Compare
from spanhouse.query.language.resolver import read_filter
from spanhouse.query.search import plan
from spanhouse.query.sql.predicate_sql import test as passes
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.selects import conditions
from spanhouse.query.sql.statement import Parameters

_services = itertools.count(1)

TEXTS = st.one_of(
    st.sampled_from([*SOME_TEXTS, "OK", "ERROR", "UNSET", "c1", "LLM", "call", "%a%", "_", "%"]),
    st.text(alphabet=st.sampled_from("aAb%_\\'\"`é 1\n\0.;-"), max_size=4),
).map(lambda text: Given(quoted(text), text))
VERSIONS_AND_TIMES = st.sampled_from([text for text in SOME_TEXTS if text[:1].isdigit() or text[:1] == "v"]).map(
    lambda text: Given(quoted(text), text)
)
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 1.5, 2, 5, 9, 10, 0.25, 1000, 2000, 10**20, -(10**20), 1_760_000_000_000, 1_760_000_000_000.5, 1_760_003_600_002]),
    st.integers(-3, 5),
).map(lambda number: Given(str(number), number))
DURATIONS = st.sampled_from([Given("1ms", 1), Given("0.002s", 2), Given("'1'", 1), Given("1m", 60_000), Given("-1h", -3_600_000)])
# Of the traces none is that young, and none that old.
TIMES = st.sampled_from(
    [
        Given("now() - 1w", 1_790_000_000_000),
        Given("now()-3000w", 0),
        Given("NOW()", 1_790_000_000_000),
        Given("'2025-10-09'", 1_759_968_000_000),
        Given("'2025-10-09T08:53:20.001Z'", 1_760_000_000_001),
        Given("'2025-10-09 11:53:20+02:00'", 1_760_003_600_000),
    ]
)
MAPS = st.tuples(st.sampled_from(["metadata", "tag", "span.attributes", "resource"]), st.sampled_from((*KEYS, "mlflow.traceName", "never seen")))
TEXT_FIELDS = st.one_of(
    MAPS,
    st.tuples(st.just("attribute"), st.sampled_from(["name", "status", "client_request_id", "session"])),
    st.tuples(st.just("span"), st.sampled_from(["name", "type", "status", "content"])),
)
ANY_ORDER = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "IN", "NOT IN", "IS NULL", "IS NOT NULL"])


def _number_clauses(fields: st.SearchStrategy[tuple[str, str]], values: st.SearchStrategy[Given]) -> st.SearchStrategy[Clause]:
    return st.tuples(fields, ANY_ORDER, st.lists(values, min_size=1, max_size=3)).map(lambda it: Clause(*it[0], it[1], it[2]))


def _attribute(*names: str) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just("attribute"), st.sampled_from(names))


@st.composite
def text_clauses(draw: st.DrawFn) -> Clause:
    operator = draw(st.sampled_from(["=", "=", "!=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL", "RLIKE"]))
    values = draw(st.lists(TEXTS, min_size=1, max_size=3))
    if operator == "RLIKE":
        pattern = draw(st.sampled_from(["", "^", "^.", ".*", "."])) + re.escape(values[0].value)
        values = [Given(quoted(pattern), pattern)]
    return Clause(*draw(TEXT_FIELDS), operator, values)


CLAUSES = st.one_of(
    text_clauses(),
    text_clauses(),
    st.tuples(MAPS, st.sampled_from(["<", "<=", ">", ">="]), st.one_of(VERSIONS_AND_TIMES, TEXTS, NUMBERS)).map(
        lambda it: Clause(*it[0], it[1], [it[2]])
    ),
    _number_clauses(MAPS, NUMBERS),
    _number_clauses(_attribute("timestamp_ms", "end_time_ms"), st.one_of(NUMBERS, TIMES)),
    _number_clauses(_attribute("execution_time_ms"), st.one_of(NUMBERS, DURATIONS)),
    _number_clauses(_attribute("tokens.total", "cost", "span.count"), NUMBERS),
    _number_clauses(st.just(("span", "duration_ms")), st.one_of(NUMBERS, DURATIONS)),
    st.tuples(st.sampled_from(["=", "!=", "IN", "NOT IN"]), st.lists(st.sampled_from(["0123abc", "0123AB", "0123abcd", "012"]), min_size=1)).map(
        lambda it: Clause("attribute", "git.commit", it[0], [Given(quoted(text), text) for text in it[1]])
    ),
    st.tuples(st.sampled_from(["=", "!="]), st.sampled_from(["Server", "CLIENT", "internal"])).map(
        lambda it: Clause("span", "kind", it[0], [Given(quoted(it[1]), it[1].capitalize())])
    ),
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    CLAUSES,
    lambda parts: st.one_of(
        st.builds(Joined, st.sampled_from(["AND", "AND", "", "OR"]), st.lists(parts, min_size=2, max_size=3)), st.builds(Negated, parts)
    ),
    max_leaves=6,
)
CASES = st.builds(random_cases, st.randoms(use_true_random=False), st.integers(1, 6))
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
# A batch takes the engine a second: making one smaller that fails would take minutes.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


@pytest.fixture(scope="module")
def client() -> Iterator[tuple[TestStore, TraceClient]]:
    store = TestStore()
    with TraceClient(store.dsn) as made:
        yield store, made
    store.close()


@dataclass(frozen=True, repr=False)
class Population:
    """A store and the cases in it; without a long text for hypothesis to write."""

    store: TestStore
    cases: Sequence[Case]


@pytest.fixture(scope="module")
def population() -> Iterator[Population]:
    """A store with traces of many kinds, the same in every run."""
    store = TestStore()
    cases = store_cases(store, random_cases(random.Random(7), 120, most_children=3), "tests")
    yield Population(store, cases)
    store.close()


@settings(max_examples=15, deadline=None, suppress_health_check=CHECKS, phases=PHASES)
@given(filters=st.lists(FILTERS, min_size=20, max_size=30))
def test_a_filter_holds_for_exactly_the_traces_that_the_reference_evaluator_says(population: Population, filters: list[Filter]) -> None:
    store, cases = population.store, population.cases
    parameters = Parameters()
    judged = [" AND ".join(["1", *conditions(Search(predicate=read_filter(chosen.text())), parameters)]) for chosen in filters]
    # All of them in one statement: each column is what a search has as its WHERE.
    sql = f"SELECT TraceId, [{', '.join(judged)}] FROM spanhouse_trace_rows FINAL"
    bound = {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.bound().items()}
    answers = {f"tr-{trace_id}": row for trace_id, row in store.execute(sql, bound)}
    assert len(answers) == len(cases)
    for number, chosen in enumerate(filters):
        expected = {case.trace_id for case in cases if holds(chosen, case)}
        assert {trace_id for trace_id, row in answers.items() if row[number]} == expected, chosen.text()


@settings(max_examples=8, deadline=None, suppress_health_check=CHECKS, phases=PHASES)
@given(
    texts=st.lists(
        st.from_regex(
            r"[vV]?[0-9]{1,3}(\.[0-9]{1,4}){0,4}(-[.-]?(rc|RC|a|x)?([.-]?[0-9a-c]{1,3}){0,3}[.-]?|\.?(rc|post|a)[0-9]{0,2})?", fullmatch=True
        ),
        min_size=50,
        max_size=80,
    )
)
def test_the_engine_puts_versions_in_the_order_that_the_reference_evaluator_does(population: Population, texts: list[str]) -> None:
    (wanted, *others) = texts
    assume(version(wanted) is not None)  # what is none is compared as text
    parameters = Parameters()
    (clause,) = Search(predicate=read_filter(f"metadata.v >= '{wanted}'")).clauses
    assert isinstance(clause, Compare)
    sql = f"SELECT v, {passes(clause, 'v', parameters)} FROM (SELECT arrayJoin({parameters.texts(tuple(others))}) AS v)"
    bound = {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.bound().items()}
    assert {str(text): passed for text, passed in population.store.execute(sql, bound)} == {
        text: int(version(text) is not None and version(text) >= version(wanted)) for text in others
    }


@settings(max_examples=12, deadline=None, suppress_health_check=CHECKS, phases=PHASES)
@given(chosen=FILTERS)
def test_a_search_finds_exactly_what_the_reference_evaluator_finds(population: Population, chosen: Filter) -> None:
    store, cases = population.store, population.cases
    expected = [case.trace_id for case in sorted(cases, key=lambda case: (-case.start_ms, case.trace_id)) if holds(chosen, case)]
    with TraceClient(store.dsn) as searcher:
        found = searcher.search_traces(filter_string=chosen.text())
        assert [trace.info.trace_id for trace in found] == expected, chosen.text()
        assert len(found) == len(expected)
        for most_listed, most_looked_at, first_with_spans in ((600, 10_000, 20_000), (2, 10_000, 8), (600, 2, 2)):
            # Whether the newest traces are named, are too many for that, or everything is looked at.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(plan, "MOST_LISTED", most_listed)
                patch.setattr(plan, "_MOST_LOOKED_AT", most_looked_at)
                patch.setattr(plan, "_FIRST_WITH_SPANS", first_with_spans)
                page = searcher.search_traces(filter_string=chosen.text(), max_results=5)
            assert [trace.info.trace_id for trace in page] == expected[:5], chosen.text()


@settings(max_examples=8, deadline=None, suppress_health_check=CHECKS, phases=PHASES)
@given(
    cases=CASES,
    keys=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["metadata", "tag"]), st.sampled_from(KEYS)),
            _attribute("name", "status", "timestamp_ms", "execution_time_ms", "end_time_ms", "cost", "tokens.total", "span.count", "session"),
        ),
        max_size=3,
        unique=True,
    ).filter(lambda keys: not {("attribute", "session"), ("metadata", "mlflow.trace.session")} <= set(keys)),
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
        values = {case.id: case.value(column, key, case.root) for case in expected}
        present = [case for case in expected if values[case.id] is not MISSING]
        absent = [case for case in expected if values[case.id] is MISSING]
        # Sorting is stable in both directions, and texts sort by their bytes.
        present.sort(key=lambda case: _sortable(values[case.id]), reverse=descending)
        expected = present + absent
    order = [
        f"{key if column == 'attribute' else f'{column}.{quoted_key(key)}'} {'DESC' if descending else 'ASC'}"
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
