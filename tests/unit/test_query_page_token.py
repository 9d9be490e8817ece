"""Orders, page sizes and page tokens: what is taken, and that everything else is the user's mistake."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.query import FilterError
from spanhouse.query.language.order_by import EXPERIMENT, Sorting, newest_first, read_order
from spanhouse.query.language.predicate import AttributeField, MapColumn, MapField
from spanhouse.query.language.resolver import read_filter
from spanhouse.query.search.page_token import MAX_RESULTS, check_max_results, read_token, write_token
from spanhouse.query.sql.resolved_search import Search
from spanhouse.schema.trace_attributes import ATTRIBUTES

NEWEST = Sorting(AttributeField(ATTRIBUTES["timestamp_ms"]), descending=True)
BY_ID = Sorting(AttributeField(ATTRIBUTES["request_id"]), descending=False)
VERSION = MapField(MapColumn.METADATA, "app_version")

ORDERS: dict[str, tuple[list[str] | None, tuple[Sorting, ...]]] = {
    "nothing": (None, (NEWEST, BY_ID)),
    "an empty list": ([], (NEWEST, BY_ID)),
    "ascending by default": (["metadata.app_version"], (Sorting(VERSION, descending=False), NEWEST, BY_ID)),
    "any case": (["metadata.app_version dEsC"], (Sorting(VERSION, descending=True), NEWEST, BY_ID)),
    "an alias of the tie-breaker": (["timestamp asc"], (Sorting(AttributeField(ATTRIBUTES["timestamp"]), descending=False), BY_ID)),
    "both tie-breakers": (["request_id DESC", "timestamp_ms"], (Sorting(BY_ID.field, descending=True), Sorting(NEWEST.field, descending=False))),
    "a service": (["experiment_id DESC"], (Sorting(EXPERIMENT, descending=True), NEWEST, BY_ID)),
    "a run": (["run_id"], (Sorting(MapField(MapColumn.METADATA, "mlflow.sourceRun"), descending=False), NEWEST, BY_ID)),
    "a quoted key": (["tag.`desc asc` DESC"], (Sorting(MapField(MapColumn.TAGS, "desc asc"), descending=True), NEWEST, BY_ID)),
    "a key named desc": (["metadata.desc"], (Sorting(MapField(MapColumn.METADATA, "desc"), descending=False), NEWEST, BY_ID)),
}


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_ends_in_the_tie_breakers_that_it_does_not_hold(name: str) -> None:
    order_by, expected = ORDERS[name]
    assert read_order(order_by) == expected


@pytest.mark.parametrize(
    ("order_by", "message"),
    [
        (["timestamp", "timestamp_ms DESC"], "same field twice"),
        (["metadata.a", "request_metadata.a"], "same field twice"),
        (["run_id", "metadata.`mlflow.sourceRun`"], "same field twice"),
        (["client_request_id"], "cannot be ordered by"),
        (["metadata.`mlflow.trace.tokenUsage`"], "cannot be ordered by"),
        (["span.name"], "cannot be ordered by span.name"),
        (["feedback.quality"], "not supported"),
        (["text"], "cannot be ordered by text"),
        (["nonsense DESC"], "unknown attribute"),
        (["name ASC NULLS FIRST"], "missing values"),
        (["name, status"], "unexpected text after the key"),
        (["name ASC DESC"], "unexpected text after the key"),
        ([""], "is empty"),
        (["  "], "is empty"),
        (["DESC"], "unknown attribute"),
        ([None], "is a string"),
        ("name", "is a list"),
        (5, "is a list"),
    ],
)
def test_a_wrong_order_is_the_users_mistake(order_by: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        read_order(order_by)


def test_only_an_order_that_begins_with_the_newest_is_newest_first() -> None:
    assert newest_first(read_order(None))
    assert newest_first(read_order(["timestamp DESC", "name"]))
    assert not newest_first(read_order(["timestamp"]))
    assert not newest_first(read_order(["name DESC"]))


@pytest.mark.parametrize("max_results", [0, -1, MAX_RESULTS + 1, 1.5, "7", True])
def test_a_page_size_out_of_range_is_the_users_mistake(max_results: object) -> None:
    with pytest.raises(FilterError, match="1 to 50000"):
        check_max_results(max_results)


def test_page_sizes_from_1_to_50000_are_taken() -> None:
    assert [check_max_results(size) for size in (1, 50_000)] == [1, 50_000]


@given(st.one_of(st.none(), st.text(alphabet=st.characters(codec="utf-8"))), st.integers(-(2**63), 2**63 - 1))
def test_a_token_gives_back_the_order_keys_it_was_made_of(version: str | None, timestamp_ms: int) -> None:
    search = Search(order=read_order(["metadata.app_version"]))
    keys = (version, timestamp_ms, "tr-0a")
    assert read_token(search, write_token(search, keys)) == keys


def test_a_token_of_a_search_from_now_on_still_fits_when_now_is_later() -> None:
    asked = read_filter("timestamp > now() - 2h")
    token = write_token(Search(predicate=asked, now_ms=1), (1, "tr-0a"))
    assert read_token(Search(predicate=asked, now_ms=2), token) == (1, "tr-0a")


def test_a_token_of_an_order_by_numbers_holds_any_number_that_there_is() -> None:
    search = Search(order=read_order(["cost DESC"]))
    for cost in (0.1, 7, None):
        keys = (cost, 1, "tr-0a")
        assert read_token(search, write_token(search, keys)) == keys
    for nonsense in ("0.1", True, math.nan, math.inf, 2**63):
        with pytest.raises(FilterError, match="invalid page token"):
            read_token(search, write_token(search, (nonsense, 1, "tr-0a")))


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_the_first_page(token: str | None) -> None:
    assert read_token(Search(), token) is None


@pytest.mark.parametrize(
    "other",
    [
        Search(predicate=read_filter("name = 'b'")),
        Search(predicate=read_filter("name = 'a'"), order=read_order(["timestamp_ms"])),
        Search(predicate=read_filter("name = 'a'"), services=("s",)),
    ],
)
def test_a_token_of_another_search_is_refused(other: Search) -> None:
    search = Search(predicate=read_filter("name = 'a'"))
    token = write_token(search, (1, "tr-0a"))
    assert read_token(search, token) == (1, "tr-0a")
    with pytest.raises(FilterError, match="another filter or order"):
        read_token(other, token)


def _token(*values: Any, tail: str = "") -> str:
    written = base64.urlsafe_b64decode(write_token(Search(), values) if "\ud800" not in values else _surrogate(values))
    return base64.urlsafe_b64encode(written + tail.encode()).decode()


def _surrogate(values: Sequence[Any]) -> str:
    made = json.loads(base64.urlsafe_b64decode(write_token(Search(), ())))
    return base64.urlsafe_b64encode(json.dumps([*made, *values]).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "é",
        "====",
        7,
        base64.b64encode(b"5").decode(),
        base64.b64encode(b"{}").decode(),
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"offset": 100}').decode(),
        base64.b64encode(b"\xff").decode(),
        base64.b64encode(b"[" * 100_000).decode(),
        _token(),
        _token(1),
        _token(1, "tr-0a", 2),
        _token("1", "tr-0a"),
        _token(True, "tr-0a"),
        _token(2**63, "tr-0a"),
        _token(1.5, "tr-0a"),
        _token(1, 2),
        _token(1, ["tr-0a"]),
        _token(1, "\ud800"),
        _token(1, "tr-0a", tail="]"),
    ],
)
def test_a_malformed_token_is_the_users_mistake(token: Any) -> None:
    with pytest.raises(FilterError, match="invalid page token"):
        read_token(Search(), token)


@given(st.data())
def test_a_token_that_was_changed_is_refused_wherever_that_was(data: st.DataObject) -> None:
    search = Search(order=read_order(["metadata.app_version"]))
    token = write_token(search, ("1.0", 1_760_000_000_000, "tr-0a"))
    text = base64.urlsafe_b64decode(token).decode()
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.sampled_from('0123456789abcdef,[]" ')) + text[place + 1 :]
    if json.loads(text) == _loaded(changed):
        return
    with pytest.raises(FilterError, match="invalid page token"):
        read_token(search, base64.urlsafe_b64encode(changed.encode()).decode())


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
