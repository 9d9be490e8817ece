"""The grammar as a promise: filters that people have stored keep their meaning, and mistakes keep being told where they are."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from spanhouse.query import FilterError, compile_filter
from spanhouse.query.language import parser as parser_module
from spanhouse.query.language.ast import Comparison, Identifier, Membership, NullTest, Number, Operator, leaves
from spanhouse.query.language.parser import MAX_COMPARISONS, MAX_DEPTH, parse
from spanhouse.query.language.predicate import (
    All,
    AttributeField,
    Compare,
    Either,
    Field,
    FromNow,
    MapColumn,
    MapField,
    Missing,
    Moment,
    Not,
    OneOf,
    SomeSpan,
    SpanField,
    Value,
    Version,
)
from spanhouse.query.language.resolver import read_filter
from spanhouse.query.language.versions_and_times import version_key
from spanhouse.schema.trace_attributes import ATTRIBUTES, SPAN_ATTRIBUTES

PAGE = Path(__file__).parents[2] / "docs" / "filters.md"


def _metadata(key: str) -> MapField:
    return MapField(MapColumn.METADATA, key)


def _tag(key: str) -> MapField:
    return MapField(MapColumn.TAGS, key)


def _attribute(name: str) -> AttributeField:
    return AttributeField(ATTRIBUTES[name])


def _equal(field: Field, value: str | float) -> Compare:
    return Compare(field=field, operator=Operator.EQUAL, value=value)


def _than(field: Field, operator: str, value: Value) -> Compare:
    return Compare(field=field, operator=Operator(operator), value=value)


def _version(text: str) -> Version:
    key = version_key(text)
    assert key is not None
    return Version(key)


def _span(name: str) -> SpanField:
    return SpanField(AttributeField(SPAN_ATTRIBUTES[name]))


def _short(sha: str) -> Compare:
    return Compare(field=COMMIT, operator=Operator.LIKE, value=f"{sha}%")


COMMIT = _metadata("mlflow.source.git.commit")
SHA = "0123abc" + "4" * 33
NAMED = _equal(_span("name"), "x")
FROM_R = _equal(SpanField(MapField(MapColumn.RESOURCE_ATTRIBUTES, "service.name")), "r")
OK = _equal(_attribute("status"), "OK")
A = _equal(_attribute("name"), "a")

ACCEPTED = {
    "metadata.app_version = '1.0.0'": _equal(_metadata("app_version"), "1.0.0"),
    'metadata."app_version" = "1.0.0"': _equal(_metadata("app_version"), "1.0.0"),
    "`metadata`.app_version = '1.0.0'": _equal(_metadata("app_version"), "1.0.0"),
    "\"metadata\".app_version = '1.0.0'": _equal(_metadata("app_version"), "1.0.0"),
    "request_metadata.app_version = '1.0.0'": _equal(_metadata("app_version"), "1.0.0"),
    "metadata.`mlflow.source.type` = 'production'": _equal(_metadata("mlflow.source.type"), "production"),
    "metadata.mlflow.source.type = 'production'": _equal(_metadata("mlflow.source.type"), "production"),
    "metadata.`my key` = 'v1'": _equal(_metadata("my key"), "v1"),
    "metadata.`it's` = 'v1'": _equal(_metadata("it's"), "v1"),
    "metadata.`a``b` = 'v1'": _equal(_metadata("a`b"), "v1"),
    "metadata.`a-b/c:d` = 'v1'": _equal(_metadata("a-b/c:d"), "v1"),
    "metadata.clé = 'v0'": _equal(_metadata("clé"), "v0"),
    "metadata.1key = 'v1'": _equal(_metadata("1key"), "v1"),
    "metadata.app_VERSION = '1.0.0'": _equal(_metadata("app_VERSION"), "1.0.0"),
    "metadata.user = 'u'": _equal(_metadata("user"), "u"),
    "metadata.and = 'u'": _equal(_metadata("and"), "u"),
    "metadata.note = 'NULL'": _equal(_metadata("note"), "NULL"),
    "metadata.note = ''": _equal(_metadata("note"), ""),
    'metadata.note = "it\'s"': _equal(_metadata("note"), "it's"),
    "metadata.note = 'it''s'": _equal(_metadata("note"), "it's"),
    r"metadata.note = 'it\'s'": _equal(_metadata("note"), "it's"),
    r"metadata.note = 'a\\b\d'": _equal(_metadata("note"), r"a\b\d"),
    "metadata.name = 'v1'": _equal(_metadata("name"), "v1"),
    "metadata.timestamp = 'v1'": _equal(_metadata("timestamp"), "v1"),
    "tag.run_id = 'v1'": _equal(_tag("run_id"), "v1"),
    "tag.team = 'ads'": _equal(_tag("team"), "ads"),
    "tags.team = 'ads'": _equal(_tag("team"), "ads"),
    "tag.mlflow.traceName = 'chat'": _equal(_tag("mlflow.traceName"), "chat"),
    "metadata.app_version != '1.0.0'": Compare(field=_metadata("app_version"), operator=Operator.NOT_EQUAL, value="1.0.0"),
    "metadata.b LIKE 'feature/%'": Compare(field=_metadata("b"), operator=Operator.LIKE, value="feature/%"),
    "tag.team ilike 'SEA%'": Compare(field=_tag("team"), operator=Operator.ILIKE, value="SEA%"),
    "name rLike '^[Cc]hat$'": Compare(field=_attribute("name"), operator=Operator.RLIKE, value="^[Cc]hat$"),
    "metadata.a IN ('x')": OneOf(field=_metadata("a"), values=("x",), negated=False),
    "name NOT IN ('a', \"b\")": OneOf(field=_attribute("name"), values=("a", "b"), negated=True),
    "status IN ('OK','ERROR')": OneOf(field=_attribute("status"), values=("OK", "ERROR"), negated=False),
    "timestamp IN (1, 2.5)": OneOf(field=_attribute("timestamp"), values=(1, 2.5), negated=False),
    "run_id IN ('r')": OneOf(field=_metadata("mlflow.sourceRun"), values=("r",), negated=False),
    "metadata.environment is not null": Missing(field=_metadata("environment"), negated=True),
    "metadata.environment IS NULL": Missing(field=_metadata("environment"), negated=False),
    "execution_time IS NULL": Missing(field=_attribute("execution_time"), negated=False),
    "run_id IS NULL": Missing(field=_metadata("mlflow.sourceRun"), negated=False),
    "attribute.run_id = 'r'": _equal(_metadata("mlflow.sourceRun"), "r"),
    "status = 'OK'": _equal(_attribute("status"), "OK"),
    "'x'  =  'OK'".replace("'x'", '"status"'): _equal(_attribute("status"), "OK"),
    "trace.status = 'ok'": _equal(_attribute("status"), "ok"),
    "attributes.name = 'chat'": _equal(_attribute("name"), "chat"),
    "client_request_id = 'c'": _equal(_attribute("client_request_id"), "c"),
    "request_id = 'tr-0A'": _equal(_attribute("request_id"), "tr-0a"),
    "request_id = '0a'": _equal(_attribute("request_id"), "tr-0a"),
    "request_id LIKE '%0A'": Compare(field=_attribute("request_id"), operator=Operator.LIKE, value="%0A"),
    "timestamp_ms>=1700000000000": Compare(field=_attribute("timestamp_ms"), operator=Operator.GREATER_OR_EQUAL, value=1700000000000),
    "timestamp < '1700000000000'": Compare(field=_attribute("timestamp"), operator=Operator.LESS, value=1700000000000),
    "execution_time_ms <= 1.5e3": Compare(field=_attribute("execution_time_ms"), operator=Operator.LESS_OR_EQUAL, value=1500.0),
    "end_time > -5": Compare(field=_attribute("end_time"), operator=Operator.GREATER, value=-5),
    "end_time_ms < 99999999999999999999": Compare(field=_attribute("end_time_ms"), operator=Operator.LESS, value=1e20),
    "status = 'OK' AND name = 'a'": All((_equal(_attribute("status"), "OK"), _equal(_attribute("name"), "a"))),
    "status = 'OK' name = 'a'": All((_equal(_attribute("status"), "OK"), _equal(_attribute("name"), "a"))),
    "status='OK'and\tname='a'\n": All((_equal(_attribute("status"), "OK"), _equal(_attribute("name"), "a"))),
    "AND status = 'OK' AND": _equal(_attribute("status"), "OK"),
    "metadata.a > '1.10'": _than(_metadata("a"), ">", _version("1.10")),
    "tag.a <= 'v2'": _than(_tag("a"), "<=", _version("v2")),
    "metadata.a < 'main'": _than(_metadata("a"), "<", "main"),
    "metadata.a < '2026-01-31T00:00:00Z'": _than(_metadata("a"), "<", Moment(1_769_817_600_000_000)),
    "metadata.a >= now() - 2h": _than(_metadata("a"), ">=", FromNow(-7_200_000)),
    "metadata.a >= 10": _than(_metadata("a"), ">=", 10.0),
    "metadata.a = -1.5": _equal(_metadata("a"), -1.5),
    "tag.a IN (1, 2.5)": OneOf(field=_tag("a"), values=(1.0, 2.5), negated=False),
    "timestamp > now()": _than(_attribute("timestamp"), ">", FromNow(0)),
    "timestamp > NOW( ) + 1.5d": _than(_attribute("timestamp"), ">", FromNow(129_600_000)),
    "timestamp > now()-0.5ms": _than(_attribute("timestamp"), ">", FromNow(-0.5)),
    "timestamp > '2026-01-31'": _than(_attribute("timestamp"), ">", 1_769_817_600_000),
    "timestamp > '2026-01-31 02:00:00.0005+02:00'": _than(_attribute("timestamp"), ">", 1_769_817_600_000.5),
    "execution_time > 2s": _than(_attribute("execution_time"), ">", 2000),
    "execution_time IN (1.5m, 250ms, 1w)": OneOf(field=_attribute("execution_time"), values=(90_000, 250, 604_800_000), negated=False),
    "cost >= 0.01": _than(_attribute("cost"), ">=", 0.01),
    "tokens.total > 1000": _than(_attribute("tokens.total"), ">", 1000),
    "trace.tokens.total > 1000": _than(_attribute("tokens.total"), ">", 1000),
    "span.count = '3'": _equal(_attribute("span.count"), 3),
    "session = 's'": _equal(_metadata("mlflow.trace.session"), "s"),
    "user LIKE 'a%'": Compare(field=_metadata("mlflow.trace.user"), operator=Operator.LIKE, value="a%"),
    "model.name = 'm'": _equal(_metadata("mlflow.model.name"), "m"),
    "git.branch = 'main'": _equal(_metadata("mlflow.source.git.branch"), "main"),
    "git.dirty = 'true'": _equal(_metadata("mlflow.source.git.dirty"), "true"),
    f"git.commit = '{SHA}'": _equal(COMMIT, SHA),
    "git.commit = '0123ABC'": _short("0123abc"),
    "git.commit = 'abc'": _equal(COMMIT, "abc"),
    "git.commit != '0123abc'": All((Missing(field=COMMIT, negated=True), Not(_short("0123abc")))),
    f"git.commit IN ('0123abc', '{SHA}')": Either((_short("0123abc"), _equal(COMMIT, SHA))),
    "git.commit NOT IN ('0123abc')": All((Missing(field=COMMIT, negated=True), Not(_short("0123abc")))),
    "git.commit LIKE '0123abc'": Compare(field=COMMIT, operator=Operator.LIKE, value="0123abc"),
    "span.name = 'x'": SomeSpan(NAMED),
    "span.type IN ('LLM')": SomeSpan(OneOf(field=_span("type"), values=("LLM",), negated=False)),
    "span.kind = 'SERVER'": SomeSpan(_equal(_span("kind"), "Server")),
    "span.exception.type LIKE 'Time%'": SomeSpan(Compare(field=_span("exception.type"), operator=Operator.LIKE, value="Time%")),
    "error.type = 'T' AND model IN ('m')": All(
        (_equal(AttributeField(ATTRIBUTES["error.type"]), "T"), OneOf(field=AttributeField(ATTRIBUTES["model"]), values=("m",), negated=False))
    ),
    "error.message LIKE 'x%'": Compare(field=AttributeField(ATTRIBUTES["error.message"]), operator=Operator.LIKE, value="x%"),
    "unfinished = 'true'": _equal(AttributeField(ATTRIBUTES["unfinished"]), "true"),
    "span.duration_ms > 1.5s": SomeSpan(_than(_span("duration_ms"), ">", 1500)),
    "span.content LIKE '%x%'": SomeSpan(Compare(field=_span("content"), operator=Operator.LIKE, value="%x%")),
    "trace.text LIKE '%x%'": SomeSpan(Compare(field=_span("content"), operator=Operator.LIKE, value="%x%")),
    "span.attributes.`my key` > 5": SomeSpan(_than(SpanField(MapField(MapColumn.SPAN_ATTRIBUTES, "my key")), ">", 5.0)),
    "resource.`service.name` = 'r'": SomeSpan(FROM_R),
    "span.name = 'x' AND name = 'a' AND resource.service.name = 'r'": All((A, SomeSpan(All((NAMED, FROM_R))))),
    "span.name = 'x' OR resource.service.name = 'r'": SomeSpan(Either((NAMED, FROM_R))),
    "span.name = 'x' OR name = 'a'": Either((SomeSpan(NAMED), A)),
    "span.name = 'x' AND NOT resource.service.name = 'r'": All((Not(SomeSpan(FROM_R)), SomeSpan(NAMED))),
    "NOT (span.name = 'x' AND resource.service.name = 'r')": Not(SomeSpan(All((NAMED, FROM_R)))),
    "span.name = 'x' AND (resource.service.name = 'r' OR name = 'a')": Either((SomeSpan(All((FROM_R, NAMED))), All((A, SomeSpan(NAMED))))),
    "(status = 'OK')": OK,
    "((status = 'OK') AND (name = 'a')) tag.b = 'c'": All((OK, A, _equal(_tag("b"), "c"))),
    "status = 'OK' OR name = 'a'": Either((OK, A)),
    "status = 'OK' or name = 'a' AND tag.b = 'c'": Either((OK, All((A, _equal(_tag("b"), "c"))))),
    "status = 'OK' OR name = 'a' tag.b = 'c'": Either((OK, All((A, _equal(_tag("b"), "c"))))),
    "(status = 'OK' OR name = 'a') AND tag.b = 'c'": All((Either((OK, A)), _equal(_tag("b"), "c"))),
    "NOT status = 'OK'": Not(OK),
    "not not status = 'OK'": Not(Not(OK)),
    "span.name = 'x' AND NOT NOT resource.service.name = 'r'": All((Not(Not(SomeSpan(FROM_R))), SomeSpan(NAMED))),
    "NOT status = 'OK' AND name = 'a'": All((Not(OK), A)),
    "NOT (status = 'OK' AND name = 'a')": Not(All((OK, A))),
    "(" * (MAX_DEPTH - 1) + "status = 'OK'" + ")" * (MAX_DEPTH - 1): OK,
    "": All(()),
}

ENTANGLED = " AND ".join(f"(span.name = '{number}' OR status = '{number}')" for number in range(7))

# The mistake's text in the filter, what the message says, what the hint says.
REJECTED = {
    "   ": ("", "expected a comparison", "metadata.app_version"),
    "stat = 'OK'": ("stat", "unknown attribute 'stat'", "did you mean 'status'?"),
    "state = 'OK'": ("state", "unknown attribute 'state'", "did you mean 'status'?"),
    "trace.usr = 'x'": ("trace.usr", "unknown attribute 'usr'", "did you mean 'user'?"),
    "tokens = 5": ("tokens", "unknown attribute 'tokens'", "did you mean 'tokens.total'?"),
    "git.comit = 'x'": ("git.comit", "unknown attribute 'git.comit'", "did you mean 'git.commit'?"),
    "prompt = 'a'": ("prompt = 'a'", "by its name and version", "NAME/VERSION"),
    "prompt LIKE 'a/1'": ("prompt LIKE 'a/1'", "by its name and version", "NAME/VERSION"),
    "prompt IN ('a/1')": ("prompt", "by = alone", "NAME/VERSION"),
    "METADATA.app_version = '1'": ("METADATA.app_version", "unknown entity 'METADATA'", "did you mean 'metadata'?"),
    "metdata.a = '1'": ("metdata.a", "unknown entity 'metdata'", "did you mean 'metadata'?"),
    "trace.metadata.app_version = '1'": ("trace.metadata.app_version", "unknown attribute 'metadata.app_version'", ""),
    "metadata = 'x'": ("metadata", "'metadata' needs a key", "metadata.KEY"),
    "metadata. = 'x'": ("metadata. ", "expected a key after the dot", "quoted"),
    "metadata.my-key = 'v1'": ("-", "unexpected '-'", "quoted"),
    "metadata.a:b = 'v1'": (":", "unexpected ':'", "quoted"),
    "name = 10": ("10", "its value is quoted", "write '10'"),
    "metadata.note LIKE 10": ("10", "its value is quoted", "write '10'"),
    "metadata.a > 5s": ("5s", "a has no unit of time", "the number alone"),
    "metadata.a IN ('x', 1)": ("1", "texts or numbers, not both", "quote them"),
    "metadata.a IN (now())": ("now()", "texts or numbers", ""),
    "metadata.environment = NULL": ("NULL", "NULL is not a value", "IS NULL"),
    "status < 'OK'": ("status < 'OK'", "< needs a number", "LIKE"),
    "timestamp LIKE '1%'": ("timestamp LIKE '1%'", "LIKE needs text", "<="),
    "timestamp > 'today'": ("'today'", "is no number", "now() - 2h"),
    "timestamp > '2025-02-30'": ("'2025-02-30'", "is no number", "Unix time"),
    "timestamp > 5s": ("5s", "is no length of time", "now() - 2h"),
    "timestamp > now() - 2": ("-", "unexpected '-'", ""),
    "timestamp > now() - 2y": ("-", "unexpected '-'", ""),
    "execution_time > now()": ("now()", "is no time", "number"),
    "execution_time > '2s'": ("'2s'", "is no number", "1.5s without quotes"),
    "cost > 2s": ("2s", "is no length of time", "number"),
    "tokens.total > 'many'": ("'many'", "is no number", "without quotes"),
    "name > now()": ("name > now()", "> needs a number", ""),
    "name = now()": ("now()", "its value is quoted", ""),
    "execution_time > 1e999h": ("1e999h", "too large", ""),
    "timestamp > 1e999": ("1e999", "too large", ""),
    "timestamp > 5years": ("5years", "not a number", "units of time are ms, s, m, h, d, w"),
    "status IN (OK)": ("OK", "expected a quoted value", "write 'OK'"),
    "status IN ()": (")", "expected a value", ""),
    "status IN 'OK'": ("'OK'", "expected ( after IN", "IN ('a', 'b')"),
    "status IN ('OK'": ("", "expected , or )", ""),
    "status NOT LIKE 'x'": ("LIKE", "expected IN after NOT", ""),
    "status IS 'OK'": ("'OK'", "expected NULL after IS", ""),
    "status IS NOT 'OK'": ("'OK'", "expected NULL after IS NOT", ""),
    "status": ("", "expected an operator", "IS NULL"),
    "status =": ("", "expected a value", ""),
    "status = OK": ("OK", "expected a quoted value", "write 'OK'"),
    "status = `OK`": ("`OK`", "expected a quoted value", "write 'OK'"),
    "status == 'OK'": ("==", "'==' is not an operator", "write ="),
    "status <> 'OK'": ("<>", "'<>' is not an operator", "write !="),
    "status = 'OK": ("'OK", "never closed", "''"),
    "'status' = 'OK'": ("'status'", "expected a key", "backticks"),
    "= 'OK'": ("=", "expected a key", ""),
    "status = 'OK' OR": ("", "expected a comparison", ""),
    "OR status = 'OK'": ("OR", "expected a key", ""),
    "status = 'OK' OR AND name = 'a'": ("AND", "expected a key", ""),
    "(status = 'OK' AND) OR name = 'a'": (")", "expected a comparison before )", ""),
    "NOT": ("", "expected a comparison", ""),
    "NOT AND status = 'OK'": ("AND", "expected a key", ""),
    "()": (")", "expected a comparison before )", ""),
    "(status = 'OK'": ("(", "never closed", ")"),
    "status = 'OK')": (")", ") closes nothing", ""),
    "status = ('OK')": ("(", "expected a value", ""),
    "(" * (MAX_DEPTH + 1) + "status = 'OK'" + ")" * (MAX_DEPTH + 1): ("(", "at most", ""),
    "NOT " * (MAX_DEPTH + 1) + "status = 'OK'": ("NOT", "at most", ""),
    "timestamp BETWEEN 1 AND 2": ("BETWEEN", "BETWEEN is not an operator", ">="),
    "status = 'OK', name = 'a'": (",", "expected a key", ""),
    "status = 'OK'; DROP TABLE traces": (";", "unexpected ';'", ""),
    "status = 'OK' -- x": ("--", "no comments", "leave it out"),
    "status = 'OK' /* x */": ("/*", "no comments", "leave it out"),
    "status = 'OK' # x": ("#", "no comments", "leave it out"),
    "status = 'OK' AND AND name = 'a'": ("AND", "expected a key", ""),
    "AND": ("", "expected a comparison", ""),
    "span = 'x'": ("span", "'span' needs a key", "span.KEY"),
    "span.nme = 'x'": ("span.nme", "a span has no 'nme'", "did you mean 'name'?"),
    "span.attributes = 'x'": ("span.attributes", "needs a key", "span.attributes.KEY"),
    "span.name > 'x'": ("span.name > 'x'", "> needs a number", ""),
    "span.duration_ms LIKE 'x'": ("span.duration_ms LIKE 'x'", "LIKE needs text", ""),
    "resource = 'x'": ("resource", "'resource' needs a key", "resource.KEY"),
    "resources.a = 'x'": ("resources.a", "unknown entity 'resources'", "did you mean 'resource'?"),
    "feedback.quality > 0.5": ("feedback.quality", "feedback.* is not supported: no assessments are stored", "spans"),
    "expectation.expected = '42'": ("expectation.expected", "no assessments are stored", "spans"),
    "issue.id = 'x'": ("issue.id", "no assessments are stored", "spans"),
    ENTANGLED: ("", "in too many ways", "without OR"),
    "attr.name = 'x'": ("attr.name", "unknown entity 'attr'", "did you mean 'attribute'?"),
    "name = '\ud800'": ("?", "surrogate", ""),
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_an_accepted_filter_means_what_it_says(text: str) -> None:
    assert read_filter(text) == ACCEPTED[text]
    compile_filter(text)


@pytest.mark.parametrize("text", REJECTED)
def test_a_rejected_filter_is_an_error_that_shows_the_place_and_what_to_do(text: str) -> None:
    place, message, hint = REJECTED[text]
    with pytest.raises(FilterError) as caught:
        compile_filter(text)
    error = caught.value
    assert message in error.message
    assert hint in error.hint
    assert error.text[error.start : error.end] == place
    assert error.error_code == "INVALID_PARAMETER_VALUE"
    assert "\n" not in str(error)


def _listed(title: str) -> list[str]:
    """The filters of one list of the page on the language."""
    blocks: list[str] = re.findall(rf"^```{title}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return blocks[0].splitlines()


@pytest.mark.parametrize("text", _listed("accepted"))
def test_what_the_page_says_is_accepted_is(text: str) -> None:
    compile_filter(text)


@pytest.mark.parametrize("text", _listed("rejected"))
def test_what_the_page_says_is_rejected_is_with_a_caret_and_a_line_on_what_to_do(text: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(text)
    assert "^" in caught.value.render()
    assert caught.value.hint


def test_the_page_has_the_grammar_of_the_parser() -> None:
    def rules(text: str) -> list[str]:
        (block,) = re.findall(r"^ *filter +:=.*?^ *name +:=[^\n]*", text, re.DOTALL | re.MULTILINE)
        return [line.strip() for line in block.splitlines()]

    assert parser_module.__doc__ is not None
    assert rules(PAGE.read_text(encoding="utf-8")) == rules(parser_module.__doc__)


def test_none_is_the_filter_that_everything_passes() -> None:
    assert read_filter(None) == All(())


def test_a_filter_that_is_no_text_is_the_users_mistake() -> None:
    with pytest.raises(FilterError, match="a filter is a string, not int"):
        compile_filter(5)  # type: ignore[arg-type]


def test_every_node_knows_its_place() -> None:
    text = "metadata.a = 'x' AND NOT (timestamp > 5 OR name IN ('y', 'z')) AND tag.`t` IS NOT NULL"
    written = []
    for node in leaves(parse(text)):
        written.append(text[node.start : node.end])
        written.append(text[node.left.start : node.left.end])
        match node:
            case Comparison(right=right):
                written.append(text[right.start : right.end])
            case Membership(values=values):
                written += [text[value.start : value.end] for value in values]
            case NullTest():
                pass
    assert written == [
        *("metadata.a = 'x'", "metadata.a", "'x'"),
        *("timestamp > 5", "timestamp", "5"),
        *("name IN ('y', 'z')", "name", "'y'", "'z'"),
        *("tag.`t` IS NOT NULL", "tag.`t`"),
    ]


def test_a_comparison_is_parsed_into_frozen_nodes() -> None:
    parsed = parse("a.b.c >= 1")
    assert parsed == Comparison(
        left=Identifier(entity="a", key="b.c", start=0, end=5),
        operator=Operator.GREATER_OR_EQUAL,
        right=Number(value=1, start=9, end=10),
        start=0,
        end=10,
    )
    with pytest.raises(AttributeError):
        parsed.start = 1  # type: ignore[misc]


def test_the_caret_stands_under_the_mistake_even_after_tabs_and_line_breaks() -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter("name = 'a'\n\tAND stat = 'OK'")
    message, shown, caret, hint = caught.value.render().split("\n")
    assert message == "unknown attribute 'stat'"
    assert shown[caret.index("^") : caret.rindex("^") + 1] == "stat"
    assert hint == "did you mean 'status'?"


def test_an_error_survives_the_way_to_another_process() -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter("stat = 'OK'")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  our own bytes
    assert (str(copy), copy.start, copy.hint) == (str(caught.value), caught.value.start, caught.value.hint)


def test_a_filter_with_too_many_comparisons_is_refused_before_the_engine_sees_it() -> None:
    compile_filter(" AND ".join(["name = 'a'"] * MAX_COMPARISONS))
    with pytest.raises(FilterError, match="at most"):
        compile_filter(" AND ".join(["name = 'a'"] * (MAX_COMPARISONS + 1)))


def test_versions_sort_as_people_number_them() -> None:
    ordered = ["0.9", "1.0.0a1", "1.0.0.dev3", "1.0.0-rc.2", "1.0.0-rc.10", "1.0", "1.0.0.post1", "1.0.1", "v1.9.2", "1.10.0", "2-4-gabc", "2"]
    keys = [_version(text).key for text in ordered]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert _version("1.0").key == _version("V1.0.0+build.7").key == _version("01.0").key


@pytest.mark.parametrize("text", ["", "main", "1.", ".1", "1..2", "1.2 ", "1.2\n", "x1", "1.2-", "1.2_3", "1.2.rc.ü", "9" * 19, ".".join("1" * 17)])
def test_what_is_no_version_has_no_place_among_them(text: str) -> None:
    assert version_key(text) is None
