"""Pages and lazy sequences while traces arrive."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from tests.support import otlp
from tests.support.store import TestStore

from spanhouse.query import FilterError, TraceClient
from spanhouse.query.search.results import Matches, Page

START_NS = 1_760_000_000_000_000_000


@pytest.fixture
def client(store: TestStore) -> Iterator[TraceClient]:
    with TraceClient(store.dsn) as made:
        yield made


def _ingest(store: TestStore, starts_ms: list[int], **attributes: str) -> list[str]:
    """Store a trace for each start and return their ids."""
    requests = [
        otlp.trace(
            start_ns=START_NS + start * 1_000_000, children=0, attributes={f"mlflow.traceMetadata.{key}": value for key, value in attributes.items()}
        )
        for start in starts_ms
    ]
    store.ingest(*requests)
    return [f"tr-{request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()}" for request in requests]


def _page(client: TraceClient, size: int, token: str | None, **arguments: object) -> Page:
    page = client.search_traces(max_results=size, page_token=token, **arguments)  # type: ignore[arg-type]
    assert isinstance(page, Page)
    return page


@pytest.mark.parametrize(("size", "traces"), [(1, 15), (7, 60), (50, 60)])
def test_pages_hold_every_trace_once_newest_first_while_others_arrive(store: TestStore, client: TraceClient, size: int, traces: int) -> None:
    # Several traces a millisecond, so that only the id tells them apart.
    there = _ingest(store, [number // 5 for number in range(traces)])
    expected = sorted(range(traces), key=lambda number: (-(number // 5), there[number]))
    found: list[str] = []
    token = None
    late = 1000
    while True:
        page = _page(client, size, token)
        found += [trace.info.trace_id for trace in page]
        late += 1
        _ingest(store, [late])
        token = page.token
        if token is None:
            break
    assert [trace_id for trace_id in found if trace_id in there] == [there[number] for number in expected]
    assert len(found) == len(set(found))


def test_pages_in_another_order_skip_nothing_that_was_there_before(store: TestStore, client: TraceClient) -> None:
    there = {trace_id for version in "edcba" for trace_id in _ingest(store, [*range(6)], version=version)}
    there |= set(_ingest(store, [*range(6)]))
    found: list[str] = []
    token = None
    chance = random.Random(5)
    while True:
        page = _page(client, 4, token, order_by=["metadata.version DESC"])
        found += [trace.info.trace_id for trace in page]
        _ingest(store, [chance.randrange(10)], version=chance.choice("abcdef"))
        token = page.token
        if token is None:
            break
    assert there <= set(found)
    assert len(found) == len(set(found))


def test_the_last_page_has_no_token_even_if_it_is_full(store: TestStore, client: TraceClient) -> None:
    _ingest(store, [*range(4)])
    first = _page(client, 2, None)
    second = _page(client, 2, first.token)
    assert (len(first), len(second), second.token) == (2, 2, None)


def test_a_token_goes_on_with_its_own_search_only(store: TestStore, client: TraceClient) -> None:
    _ingest(store, [*range(4)], version="1")
    token = _page(client, 1, None, filter_string="metadata.version = '1'").token
    assert token is not None
    assert len(_page(client, 2, token, filter_string="  metadata.`version`='1'")) == 2
    with pytest.raises(FilterError, match="another filter"):
        _page(client, 1, token, filter_string="metadata.version = '2'")
    with pytest.raises(FilterError, match="needs max_results"):
        client.search_traces(page_token=token)


def test_all_matches_are_a_sequence_that_a_list_could_be(store: TestStore, client: TraceClient) -> None:
    ids = list(reversed(_ingest(store, [*range(230)])))
    matches = client.search_traces()
    assert isinstance(matches, Matches)
    assert matches.token is None
    assert bool(matches)
    assert len(matches) == 230
    assert [trace.info.trace_id for trace in matches] == ids
    assert [trace.info.trace_id for trace in matches] == ids
    for index in (0, 1, 99, 100, 101, 229, -1, -230):
        assert matches[index].info.trace_id == ids[index]
    for part in (slice(2), slice(95, 105), slice(None, None, -1), slice(-3, None), slice(10, 2, -3), slice(500, 600), slice(3, 3)):
        assert [trace.info.trace_id for trace in matches[part]] == ids[part]
    assert matches[7] in matches
    for index in (230, -231, 10_000):
        with pytest.raises(IndexError):
            matches[index]


def test_no_match_is_an_empty_sequence(store: TestStore, client: TraceClient) -> None:
    empty = client.search_traces()
    assert not empty
    assert (len(empty), list(empty), empty[:5]) == (0, [], [])
    with pytest.raises(IndexError):
        empty[0]
    _ingest(store, [1])
    assert not client.search_traces(filter_string="metadata.nope = 'x'")
    assert not client.search_traces([])


def test_rows_and_length_leave_out_what_begins_after_the_search_was_made(store: TestStore, client: TraceClient) -> None:
    there = set(_ingest(store, [*range(150)]))
    matches = client.search_traces()
    _ingest(store, [*range(1000, 1010)])
    rows = iter(matches)
    found = {next(rows).info.trace_id}
    _ingest(store, [*range(2000, 2010)])
    found |= {trace.info.trace_id for trace in rows}
    assert found == there
    assert len(matches) == 150
    assert matches[0].info.trace_id in there


def test_the_newest_of_many_traces_are_right_when_few_match(store: TestStore, client: TraceClient) -> None:
    # The rare ones are the oldest: the newest parts alone do not fill a page.
    rare = _ingest(store, [*range(5)], kind="rare")
    _ingest(store, [*range(10, 400)], kind="usual")
    some = _ingest(store, [400, 500], kind="rare")
    page = _page(client, 3, None, filter_string="metadata.kind = 'rare'")
    assert [trace.info.trace_id for trace in page] == [some[1], some[0], rare[4]]
    rest = _page(client, 30, page.token, filter_string="metadata.kind = 'rare'")
    assert [trace.info.trace_id for trace in rest] == list(reversed(rare[:4]))


def test_traces_that_begin_in_the_same_millisecond_are_ordered_by_id_even_at_the_edge_of_what_is_looked_at(
    store: TestStore, client: TraceClient
) -> None:
    requests = [otlp.trace(start_ns=START_NS + number, children=0) for number in range(400)]
    random.Random(3).shuffle(requests)
    store.ingest(*requests)
    ids = sorted(f"tr-{request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()}" for request in requests)
    assert [trace.info.trace_id for trace in _page(client, 2, None)] == ids[:2]


def test_a_page_is_full_though_the_newest_rows_that_match_were_all_replaced(store: TestStore, client: TraceClient) -> None:
    store.client.command("SYSTEM STOP MERGES spanhouse_trace_rows")
    whole = _ingest(store, [*range(30)])
    roots = [otlp.span("grows", start_ns=START_NS + number * 1_000_000) for number in range(100, 160)]
    store.ingest(otlp.request(roots))
    store.ingest(otlp.request([otlp.span(trace_id=root.trace_id, parent=root.span_id, start_ns=root.start_time_unix_nano) for root in roots]))
    assert store.rows("SELECT count() AS n FROM spanhouse_trace_rows WHERE SpanCount = 1") == [{"n": 90}]
    found: list[str] = []
    token = None
    while token is not None or not found:
        page = _page(client, 4, token, filter_string="span.count = 1")
        found += [trace.info.trace_id for trace in page]
        token = page.token
    assert found == list(reversed(whole))
    assert _page(client, 4, None, filter_string="span.count = 1 AND name = 'grows'") == []
    store.client.command("SYSTEM START MERGES spanhouse_trace_rows")


def test_a_trace_that_waits_for_its_root_stands_in_a_page_where_it_starts(store: TestStore, client: TraceClient) -> None:
    waiting = [otlp.span(parent=b"elsewher", flags=otlp.LOCAL, start_ns=START_NS + number * 1_000_000) for number in (15, 35, 1000)]
    placed = _ingest(store, [*range(0, 60, 10)])
    store.ingest(otlp.request(waiting))
    ids = [f"tr-{span.trace_id.hex()}" for span in waiting]
    expected = [ids[2], placed[5], placed[4], ids[1], placed[3], placed[2], ids[0], placed[1], placed[0]]
    found: list[str] = []
    token = None
    while token is not None or not found:
        page = _page(client, 2, token)
        found += [trace.info.trace_id for trace in page]
        token = page.token
    assert found == expected
    assert [trace.info.trace_id for trace in client.search_traces()] == expected
    store.ingest(otlp.request([otlp.span("root", trace_id=waiting[1].trace_id, span_id=b"elsewher", start_ns=START_NS)]))
    assert [trace.info.name for trace in client.search_traces(filter_string=f"request_id = '{ids[1]}'")] == ["root"]


def test_a_trace_whose_metadata_came_in_another_part_is_found(store: TestStore, client: TraceClient) -> None:
    root = otlp.span(start_ns=START_NS, attributes={"mlflow.traceMetadata.a": "root", "mlflow.traceMetadata.b": "root"})
    day_later = otlp.span(
        trace_id=root.trace_id,
        parent=root.span_id,
        start_ns=START_NS + 86_400_000_000_000,
        attributes={"mlflow.traceMetadata.b": "child", "mlflow.traceMetadata.c": "child"},
    )
    store.ingest(otlp.request([day_later]))
    store.ingest(otlp.request([root], resource={"service.name": "s", "service.version": "7"}))
    for text in ("metadata.a = 'root' AND metadata.c = 'child'", "metadata.b = 'root' AND metadata.app_version = '7'", "metadata.c LIKE 'ch%'"):
        assert [trace.info.span_count for trace in client.search_traces(filter_string=text)] == [2], text
    assert not client.search_traces(filter_string="metadata.b = 'child'")


def test_a_trace_is_found_by_a_span_that_starts_long_after_or_before_it(store: TestStore, client: TraceClient) -> None:
    start_ns = 1_700_000_000 * 10**9
    for number in range(5):
        root = otlp.span("root", start_ns=start_ns + number * 10**7)
        late = otlp.span("late", trace_id=root.trace_id, parent=root.span_id, flags=otlp.LOCAL, start_ns=root.start_time_unix_nano + 10**8)
        early = otlp.span("early", trace_id=root.trace_id, parent=root.span_id, flags=otlp.LOCAL, start_ns=root.start_time_unix_nano - 10**10)
        store.ingest(otlp.request([root, late, *([early] if number == 4 else [])]))
    for number in range(40):
        store.ingest(otlp.request([otlp.span("early", start_ns=start_ns - 10**9 + number * 10**6)]))
    found = client.search_traces(filter_string="span.name = 'late'")
    assert len(found) == len(list(found)) == 5
    assert len(client.search_traces(filter_string=f"span.name = 'late' AND timestamp <= {start_ns // 10**6}", max_results=10)) == 1
    for name, wanted in (("late", 5), ("early", 41)):
        ids: list[str] = []
        token = None
        while token is not None or not ids:
            page = client.search_traces(filter_string=f"span.name = '{name}'", max_results=2, page_token=token)
            ids += [trace.info.trace_id for trace in page]
            token = page.token
        assert len(ids) == len(set(ids)) == wanted


def test_either_of_two_clauses_that_other_rows_may_say_and_a_third(store: TestStore, client: TraceClient) -> None:
    root = otlp.span("root")
    said = otlp.span("said", trace_id=root.trace_id, parent=root.span_id, flags=otlp.LOCAL, attributes={"mlflow.traceMetadata.a": "x"})
    store.ingest(otlp.request([root], resource={"service.name": "s", "service.version": "1"}), otlp.request([said]), otlp.request([otlp.span("y")]))
    text = "(metadata.a = 'x' AND metadata.app_version = '1') OR name = 'y'"
    found = client.search_traces(filter_string=text, max_results=10)
    assert {trace.info.name for trace in found} == {"root", "y"}
    assert client.count(text) == 2
