"""The plan of a search, without an engine: when a page is looked for among the newest rows, and what is certain of it."""

from __future__ import annotations

import pytest

from spanhouse.query.language.order_by import read_order
from spanhouse.query.language.resolver import read_filter
from spanhouse.query.search.plan import MOST_LISTED, Found, Plan, plan
from spanhouse.query.sql.resolved_search import Search

MS_NS = 1_000_000


def planned(filter_string: str = "", *, order: str = "timestamp_ms DESC", limit: int = 101, offset: int = 0, since_ns: int | None = None) -> Plan:
    return plan(Search(predicate=read_filter(filter_string), order=read_order([order]), since_ns=since_ns), limit=limit, offset=offset)


def test_the_newest_are_looked_for_among_the_newest_rows_ever_wider_and_at_last_in_all() -> None:
    found = planned("metadata.a = 'x'")
    sizes = [look.most for look in found.looks]
    assert sizes == sorted(sizes)
    assert sizes[0] > 101
    assert [look.listed for look in found.looks] == [size <= MOST_LISTED for size in sizes]
    assert "LIMIT" in found.looks[0].look().sql
    assert "FINAL" not in found.looks[0].look().sql
    assert "FINAL" in found.everything.sql


@pytest.mark.parametrize("order", ["cost DESC", "execution_time", "metadata.a"])
def test_in_another_order_a_page_ends_where_rows_begin_that_were_not_looked_at(order: str) -> None:
    found = planned(order=order)
    assert all(look.listed for look in found.looks)
    (look, *_) = found.looks
    last = (5, 6, "tr-0a")
    rows = [[1, "0b", 4, 6, "tr-0b"], *[[1, "0a", *last]] * (look.most - 1)]
    assert look.read(rows).last == last
    assert "tr-0a" in look.page(look.read(rows)).parameters.values()
    assert "tr-0a" not in look.page(look.read(rows[1:])).parameters.values()


def test_spans_and_another_order_need_everything() -> None:
    found = planned("span.name = 'x'", order="name")
    assert (found.looks, len(found.statements())) == ((), 1)


@pytest.mark.parametrize(("limit", "offset"), [(50_001, 0), (100, 40_000)])
def test_a_page_that_is_large_or_far_away_looks_at_everything(limit: int, offset: int) -> None:
    assert planned(limit=limit, offset=offset).looks == ()


def test_what_is_asked_of_spans_is_left_to_the_second_statement() -> None:
    (first, *_) = planned("span.name = 'x' AND metadata.a = 'y'").looks
    assert not first.listed
    assert "otel_traces" not in first.look().sql
    page = first.page(Found(first.most, 5 * MS_NS + 7))
    assert "FROM otel_traces WHERE Timestamp >=" in page.sql
    assert 5 * MS_NS in page.parameters.values()


def test_a_page_begins_after_the_earliest_millisecond_of_rows_that_are_not_all_there_are() -> None:
    (look, *_) = planned().looks
    cut = look.page(Found(look.most, 5 * MS_NS + 7, (1,), ("0a",)))
    assert {6 * MS_NS, ("0a",)} <= set(cut.parameters.values())
    whole = look.page(Found(look.most - 1, 5 * MS_NS + 7, (1,), ("0a",)))
    assert 6 * MS_NS not in whole.parameters.values()
    assert not look.cut(Found(look.most - 1, 0))


def test_a_page_never_begins_before_the_search_does() -> None:
    (look, *_) = planned(since_ns=9 * MS_NS).looks
    assert 9 * MS_NS in look.page(Found(look.most, 5 * MS_NS, (1,), ("0a",))).parameters.values()


def test_every_statement_of_a_plan_has_its_reason() -> None:
    for one in (planned(), planned("span.name = 'x'"), planned(order="name"), planned(limit=50_000)):
        assert all(step.why and step.statement.sql for step in one.statements())
