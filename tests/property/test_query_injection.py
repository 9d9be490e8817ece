"""Nothing that a user writes reaches SQL but as a bound parameter, and whatever a user writes gives a statement or a FilterError."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.query import FilterError, Statement, compile_filter
from spanhouse.query.compare.aggregate import compile_samples
from spanhouse.query.compare.measures import metrics_of
from spanhouse.query.compare.question import read_question
from spanhouse.query.language.order_by import read_order
from spanhouse.query.language.resolver import bare_trace_id, read_filter
from spanhouse.query.search.arguments import read_arguments, read_key
from spanhouse.query.search.page_token import read_token, write_token
from spanhouse.query.sql.metadata_keys import compile_values
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.rows import compile_spans
from spanhouse.query.sql.selects import compile_count, compile_earliest, compile_first, compile_groups, compile_page, compile_search, compile_trace
from spanhouse.query.sql.tag_edits import write_tag
from spanhouse.schema.address.dsn import StoreError, parse_store

# A mark that no statement of ours has: were it ever in the SQL, a user put it there.
MARK = "ZQX"
EVIL = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(
        ["' OR 1 --", "'; DROP TABLE traces --", "\\", "\\'", "{p0:String}", "`", "*/", "\0", "' UNION SELECT 1 --", "\n", "$$", "\u2018"]
    ),
).map(lambda text: f"{MARK}{text}{MARK}")
KEY = EVIL.map(lambda text: "`" + text.replace("`", "``") + "`")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


VALUE = EVIL.map(_quoted)
ORDERED = st.one_of(
    st.sampled_from(["5", "now() - 2h", "'2026-01-31'", "'1.2.3'"]),
    EVIL.map(lambda text: _quoted(f"1.0+{text}")),
    EVIL.map(lambda text: _quoted(f"1.0-rc.{text}")),
)
FIELD = st.one_of(
    st.tuples(st.sampled_from(["metadata", "tag", "span.attributes", "resource"]), KEY).map(".".join),
    st.sampled_from(["name", "status", "request_id", "run_id", "git.commit", "session", "span.name", "span.type", "span.kind", "span.content"]),
)
CLAUSE = st.one_of(
    st.tuples(FIELD, st.sampled_from(["=", "!=", "LIKE", "ILIKE", "RLIKE"]), VALUE).map(" ".join),
    st.tuples(FIELD, st.sampled_from(["IN", "NOT IN"]), st.lists(VALUE, min_size=1, max_size=3)).map(
        lambda it: f"{it[0]} {it[1]} ({', '.join(it[2])})"
    ),
    st.tuples(st.sampled_from(["metadata", "tag", "span.attributes", "resource"]), KEY, st.sampled_from(["<", ">="]), st.one_of(VALUE, ORDERED)).map(
        lambda it: f"{it[0]}.{it[1]} {it[2]} {it[3]}"
    ),
    FIELD.map(lambda field: f"{field} IS NULL"),
)
FILTER = st.recursive(
    CLAUSE,
    lambda part: st.one_of(
        part.map("NOT {}".format), st.tuples(part, st.sampled_from(["AND", "OR", ""]), part).map(lambda it: f"({it[0]} {it[1]} {it[2]})")
    ),
    max_leaves=3,
)

PLACEHOLDER = re.compile(r"\{(p\d+):(String|Int64|UInt64|Float64|Array\((?:String|Int64|Float64)\))\}")


def _check(statement: Statement) -> None:
    assert MARK not in statement.sql
    assert MARK.lower() not in statement.sql.lower()
    # Every brace is one of our placeholders, each with one type, and each is bound.
    assert "{" not in PLACEHOLDER.sub("", statement.sql)
    assert len({name for name, _ in PLACEHOLDER.findall(statement.sql)}) == len(set(PLACEHOLDER.findall(statement.sql)))
    assert {name for name, _ in PLACEHOLDER.findall(statement.sql)} == set(statement.parameters)
    # The rest of the statement is made of this project's words alone.
    assert statement.sql.isascii()
    assert "--" not in statement.sql
    assert ";" not in statement.sql


@given(FILTER)
def test_what_a_filter_says_is_in_the_parameters_and_not_in_the_sql(text: str) -> None:
    _check(compile_filter(text))
    _check(compile_count(Search(predicate=read_filter(text))))


@given(KEY, EVIL, st.lists(EVIL, max_size=3), st.integers(1, 50_000), st.integers(0, 10))
def test_what_the_other_arguments_say_is_in_the_parameters_and_not_in_the_sql(
    key: str, value: str, services: list[str], limit: int, offset: int
) -> None:
    order = read_order([f"metadata.{key} DESC"])
    after: tuple[Any, ...] = (value, 5, value)
    search = Search(services=tuple(services), order=order, after=after, until_ns=2**62)
    _check(compile_search(search, limit=limit, offset=offset))
    for statement in (
        compile_first(search, limit=limit),
        compile_earliest(search, limit=limit),
        compile_page(search, [5], ["0a"], limit=limit, offset=offset, last=after),
        compile_trace(value),
    ):
        _check(statement)


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from([*"()=!<>,.`'\" \\;", "AND", "OR", "NOT", "name", "metadata", "IN", "IS", "NULL", "5", "'x'", "LIKE"]), max_size=12
        ).map(" ".join),
    )
)
def test_any_text_is_a_statement_or_the_users_mistake(text: str) -> None:
    statement, error = None, None
    try:
        statement = compile_filter(text)
    except FilterError as caught:
        error = caught
    if error is None:
        assert statement is not None
        assert statement.sql.startswith("SELECT ")
    else:
        assert 0 <= error.start <= error.end <= len(error.text)
        assert "\n" not in str(error)
        assert error.message in error.render()


@pytest.mark.parametrize("quote", ["'", '"'])
@given(value=st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_a_quoted_value_comes_back_as_it_was(quote: str, value: str) -> None:
    escaped = quote + value.replace("\\", "\\\\").replace(quote, quote * 2) + quote
    assert value in compile_filter(f"metadata.k = {escaped}").parameters.values()


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_a_quoted_key_comes_back_as_it_was(key: str) -> None:
    assert key in compile_filter("tag.`" + key.replace("`", "``") + "` = 'x'").parameters.values()


@given(st.lists(st.one_of(EVIL, st.none(), st.integers(), st.floats()), max_size=4), EVIL)
def test_what_a_page_token_says_is_in_the_parameters_or_the_token_is_refused(keys: list[Any], text: str) -> None:
    search = Search(order=read_order(["metadata.v"]))
    for token in (text, write_token(search, keys)):
        try:
            after = read_token(search, token)
        except FilterError:
            continue
        _check(compile_search(search.beginning(after), limit=5))


@given(KEY, EVIL, EVIL, EVIL)
def test_what_the_clients_methods_are_given_is_in_the_parameters(key: str, one: str, other: str, service: str) -> None:
    search = read_arguments(experiment_ids=[service], filter_string=None, run_id=one, model_id=other, order_by=[f"tag.{key}"])
    _check(compile_search(search, limit=5))
    _check(compile_groups(search, read_key(f"metadata.{key}"), limit=5))
    _check(compile_values(one))
    _check(compile_spans([bare_trace_id(one)]))
    _check(compile_search(read_arguments(experiment_ids=None, filter_string=f"metadata.app_version = {_quoted(one)}", service=service), limit=5))
    for by in (one, f"resource.{one}", f"span.attributes.{one}", "commit"):
        for scope in (None, service):
            question = read_question(by, one, other + "2", per=other, metrics=[one], service=scope)
            _check(compile_samples(replace(question, spans_ns=(0, 1)), metrics_of(question), split=question.per))


@given(EVIL, EVIL)
def test_an_edited_tag_is_in_the_parameters_or_refused(key: str, value: str) -> None:
    try:
        statement = write_tag("0" * 32, key, value)
    except FilterError:
        return
    assert MARK not in statement.sql


@given(
    st.sampled_from(
        ["{}", "chdb://{}", "chdb:///tmp/{}", "chdb:///tmp/x?database={}", "http://{}", "http://u:{}@h/db", "http://h:8123/{}", "https://h/?{}"]
    ),
    st.one_of(EVIL, st.text(max_size=8), st.text(alphabet="[]@:/?#&=%`'; x1", max_size=12)),
)
def test_a_dsn_names_a_database_that_is_a_plain_word_or_is_refused(form: str, text: str) -> None:
    store, refused = None, ""
    try:
        store = parse_store(form.format(text))
    except StoreError as error:
        refused = str(error)
    assert "\n" not in refused
    assert refused or (store is not None and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", store.database))
