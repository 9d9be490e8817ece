"""Resolver: AST -> predicate. Looks up the field of each name, and checks its comparisons. All names come from ``names``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, assert_never

from spanhouse.query.errors import FilterError
from spanhouse.query.language import ast
from spanhouse.query.language.ast import (
    And,
    Comparison,
    Duration,
    Expression,
    Identifier,
    Literal,
    Membership,
    Now,
    NullTest,
    Number,
    Operator,
    Or,
    Text,
)
from spanhouse.query.language.names import GIT_COMMIT, KIND, REQUEST_ID, field_type, is_map, is_prompt, resolve_name
from spanhouse.query.language.parser import parse
from spanhouse.query.language.predicate import (
    EVERYTHING,
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
    Predicate,
    SomeSpan,
    SpanField,
    Value,
    Version,
    every,
)
from spanhouse.query.language.span_scope import on_one_span
from spanhouse.query.language.versions_and_times import unix_us, version_key
from spanhouse.schema.trace_attributes import LINKED_PROMPTS, Type

_PATTERNS: Final = frozenset({Operator.LIKE, Operator.ILIKE, Operator.RLIKE})
_EQUALITY: Final = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_QUOTED_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_SHORT_SHA: Final = re.compile(r"[0-9a-f]{4,39}")
_INT64: Final = range(-(2**63), 2**63)


def resolve(expression: Expression, text: str) -> Predicate:
    """Resolve a parsed filter to a predicate.

    Args:
        expression: result of ``parse``.
        text: filter that it was parsed from, for error messages.

    Raises:
        FilterError: an unknown entity or attribute, or a comparison that the field's type does not allow.
    """
    return on_one_span(_meaning(expression, text))


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed and resolved filter.

    Attributes:
        text: filter as written.
        predicate: resolved filter.
        patterns: regular expressions in the filter; only the engine can validate them.
    """

    text: str = ""
    predicate: Predicate = EVERYTHING
    patterns: tuple[Text, ...] = ()


NO_FILTER: Final = Filter()


def read(text: str | None) -> Filter:
    """Parse and resolve a filter; None and '' match everything.

    Raises:
        FilterError: as ``parse`` and ``resolve``.
    """
    expression = parse(text)
    tests = (test for test in ast.leaves(expression) if isinstance(test, Comparison) and test.operator is Operator.RLIKE)
    patterns = tuple(test.right for test in tests if isinstance(test.right, Text))
    return Filter(text or "", resolve(expression, text or ""), patterns)


def read_filter(text: str | None) -> Predicate:
    """Return the predicate of a filter; raises as ``read``."""
    return read(text).predicate


def _meaning(expression: Expression, text: str) -> Predicate:
    match expression:
        case And(operands=operands):
            return every(*(_meaning(operand, text) for operand in operands))
        case Or(operands=operands):
            return Either(tuple(_meaning(operand, text) for operand in operands))
        case ast.Not(operand=operand):
            return Not(_meaning(operand, text))
        case Comparison():
            return _comparison(expression, text)
        case Membership():
            return _membership(expression, text)
        case NullTest(left=left, negated=negated):
            return Missing(field=resolve_name(left, text), negated=negated)
        case _:
            assert_never(expression)


def _prompt(comparison: Comparison, text: str) -> Predicate:
    """Return the predicate that a version of a prompt was used: a span or the trace's tag links it."""
    name, slash, version = comparison.right.value.rpartition("/") if isinstance(comparison.right, Text) else ("", "", "")
    if comparison.operator is not Operator.EQUAL or not (name and slash and version):
        raise _error("prompt is asked for by its name and version", text, comparison, "write prompt = 'NAME/VERSION'")
    link = json.dumps({"name": name, "version": version})
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", link) + "%"
    of_span, tag = (MapField(column, LINKED_PROMPTS) for column in (MapColumn.SPAN_ATTRIBUTES, MapColumn.TAGS))
    fields: tuple[Field, ...] = (SpanField(of_span), tag)
    linked_by_span, linked_by_tag = (Compare(field=field, operator=Operator.LIKE, value=pattern) for field in fields)
    return Either((SomeSpan(linked_by_span), linked_by_tag))


def _comparison(comparison: Comparison, text: str) -> Predicate:
    if is_prompt(comparison.left):
        return _prompt(comparison, text)
    field, operator, name = resolve_name(comparison.left, text), comparison.operator, comparison.left
    if field_type(field) in {Type.TEXT, Type.STATE}:
        if operator not in _PATTERNS | _EQUALITY and not is_map(field):
            raise _error(f"{operator} needs a number, and {name.key} is text", text, comparison, "compare it by = != LIKE ILIKE RLIKE IN")
    elif operator in _PATTERNS:
        raise _error(f"{operator} needs text, and {name.key} is a number", text, comparison, "compare it by = != < <= > >=")
    value = _value(field, operator, comparison.right, name, text)
    if field == GIT_COMMIT and operator in _EQUALITY and isinstance(value, str):
        return _commits((value,), negated=operator is Operator.NOT_EQUAL)
    return Compare(field=field, operator=operator, value=value)


def _membership(membership: Membership, text: str) -> Predicate:
    field = resolve_name(membership.left, text)
    values = tuple(_value(field, Operator.EQUAL, value, membership.left, text) for value in membership.values)
    for value, literal in zip(values, membership.values, strict=True):
        if isinstance(value, str) is not isinstance(values[0], str) or (isinstance(value, FromNow) and is_map(field)):
            raise _error("a list holds texts or numbers, not both", text, literal, "quote them all")
    if field == GIT_COMMIT and all(isinstance(value, str) for value in values):
        return _commits(tuple(str(value) for value in values), negated=membership.negated)
    return OneOf(field=field, values=values, negated=membership.negated)


def _commits(values: tuple[str, ...], *, negated: bool) -> Predicate:
    """Return the predicate that the commit is one of some; each may be a short SHA, the start of a full one."""
    found: list[Predicate] = []
    for value in values:
        short = _SHORT_SHA.fullmatch(value.lower())
        operator, sha = (Operator.LIKE, f"{value.lower()}%") if short else (Operator.EQUAL, value)
        found.append(Compare(field=GIT_COMMIT, operator=operator, value=sha))
    one = found[0] if len(found) == 1 else Either(tuple(found))
    return every(Missing(field=GIT_COMMIT, negated=True), Not(one)) if negated else one


def _value(field: Field, operator: Operator, literal: Literal, name: Identifier, text: str) -> Value:
    kind = field_type(field)
    if kind in {Type.TIME, Type.DURATION, Type.NUMBER}:
        return _number(kind, literal, name, text)
    if isinstance(literal, Text):
        return _text(field, operator, literal.value)
    written = text[literal.start : literal.end]
    if operator in _PATTERNS or not is_map(field):
        raise _error(f"{name.key} is text, its value is quoted", text, literal, f"write '{written}'")
    match literal:
        case Number(value=value):
            return float(value)
        case Now(added_ms=added_ms):
            return FromNow(added_ms)
        case Duration():
            raise _error(f"{name.key} has no unit of time", text, literal, "write the number alone, in the unit in which it is stored")
        case _:
            assert_never(literal)


def _text(field: Field, operator: Operator, value: str) -> Value:
    if operator in _EQUALITY:
        return "tr-" + bare_trace_id(value) if field == REQUEST_ID else value.capitalize() if field == KIND else value
    if operator in _PATTERNS:
        return value
    # In this order: a time, since its start reads as a version; a version; else text.
    if (time_us := unix_us(value)) is not None:
        return Moment(time_us)
    key = version_key(value)
    return value if key is None else Version(key)


def bare_trace_id(trace_id: str) -> str:
    """Return a trace id in SQL's form: lower-case hex, without MLflow's ``tr-``."""
    return trace_id.removeprefix("tr-").lower()


def _number(kind: Type, literal: Literal, name: Identifier, text: str) -> Value:
    match literal:
        case Now(added_ms=added_ms) if kind is Type.TIME:
            return FromNow(added_ms)
        case Duration(milliseconds=milliseconds) if kind is Type.DURATION:
            return _bounded(milliseconds)
        case Number(value=value):
            return _bounded(value)
        case Text(value=written) if _QUOTED_NUMBER.fullmatch(written):
            return _bounded(float(written) if "." in written else int(written))
        case Text(value=written) if kind is Type.TIME and (time_us := unix_us(written)) is not None:
            return time_us // 1000 if time_us % 1000 == 0 else time_us / 1000
        case Now():
            raise _error(f"{name.key} is no time", text, literal, "compare it with a number")
        case Duration():
            hint = "such as now() - 2h" if kind is Type.TIME else "compare it with a number"
            raise _error(f"{name.key} is no length of time", text, literal, hint)
        case Text(value=written):
            message, hint = _NO_NUMBER[kind]
            raise _error(f"{name.key} is {message}, {written!r} is no number", text, literal, hint)
        case _:
            assert_never(literal)


_NO_NUMBER: Final = {
    Type.TIME: ("in milliseconds", "a time is Unix time, 1735689600000, or '2025-01-01T00:00:00Z', or now() - 2h"),
    Type.DURATION: ("in milliseconds", "a length of time is 1500, or 1.5s without quotes"),
    Type.NUMBER: ("a number", "write one, without quotes"),
}


def _bounded(value: float) -> int | float:
    """Convert a number beyond Int64 to a float: only its order matters, which a float keeps."""
    return float(value) if isinstance(value, int) and value not in _INT64 else value


def _error(message: str, text: str, place: Identifier | Literal | Comparison, hint: str) -> FilterError:
    return FilterError(message, text, place.start, place.end, hint)
