"""AST -> predicate: which field a name means, and whether it can be compared so. All names come from the vocabulary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never

from spanhouse.query import ast
from spanhouse.query.ast import And, Comparison, Expression, Identifier, Literal, Membership, NullTest, Operator, Or, Text
from spanhouse.query.errors import FilterError, nearest
from spanhouse.query.parse import parse
from spanhouse.query.predicate import AttributeField, Compare, Either, Field, MapColumn, MapField, Missing, Not, OneOf, Predicate, Value, every
from spanhouse.schema.trace_attributes import ATTRIBUTES, Type
from spanhouse.schema.vocabulary import MODEL_ID, SESSION, TRACE_USER

SOURCE_RUN: Final = MapField(MapColumn.METADATA, "mlflow.sourceRun")
"""Where MLflow keeps the run that a trace belongs to; filters call it ``run_id``."""

_MAPS: Final[Mapping[str, MapColumn]] = MappingProxyType(
    {"metadata": MapColumn.METADATA, "request_metadata": MapColumn.METADATA, "tag": MapColumn.TAGS, "tags": MapColumn.TAGS}
)
_ATTRIBUTE_PREFIXES: Final = ("attribute", "attributes", "trace")
_NAMES: Final[Mapping[str, Field]] = MappingProxyType(
    {name: AttributeField(attribute) for name, attribute in ATTRIBUTES.items()} | {"run_id": SOURCE_RUN}
)
_CALLED_OTHERWISE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "trace_id": "request_id",
        "id": "request_id",
        "state": "status",
        "duration": "execution_time_ms",
        "latency": "execution_time_ms",
        "service": "metadata.service.name",
        "session_id": f"metadata.{SESSION}",
        "user_id": f"metadata.{TRACE_USER}",
        "model_id": f"metadata.{MODEL_ID.mlflow}",
    }
)
"""What users call an attribute, and its name in this language where no likeness of letters leads there."""
_LATER: Final = ("span", "feedback", "expectation", "issue")
"""Entities of MLflow that this language does not have."""

_PATTERNS: Final = frozenset({Operator.LIKE, Operator.ILIKE, Operator.RLIKE})
_EQUALITY: Final = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_QUOTED_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_INT64: Final = range(-(2**63), 2**63)


def resolve(expression: Expression, text: str) -> Predicate:
    """What a parsed filter means.

    Args:
        expression: what ``parse`` gave.
        text: the filter it was parsed from, for error messages.

    Raises:
        FilterError: an unknown entity or attribute, or a comparison that its type does not have.
    """
    match expression:
        case And(operands=operands):
            return every(*(resolve(operand, text) for operand in operands))
        case Or(operands=operands):
            return Either(tuple(resolve(operand, text) for operand in operands))
        case ast.Not(operand=operand):
            negated_one = resolve(operand, text)
            return negated_one.operand if isinstance(negated_one, Not) else Not(negated_one)
        case Comparison():
            return _comparison(expression, text)
        case Membership(left=left, values=values, negated=negated):
            field = resolve_name(left, text)
            return OneOf(field=field, values=tuple(_value(field, Operator.EQUAL, value, left, text) for value in values), negated=negated)
        case NullTest(left=left, negated=negated):
            return Missing(field=resolve_name(left, text), negated=negated)
        case _:
            assert_never(expression)


def read_filter(text: str | None) -> Predicate:
    """Parse and resolve a filter.

    Raises:
        FilterError: as ``parse`` and ``resolve``.
    """
    return resolve(parse(text), text or "")


def resolve_name(name: Identifier, text: str) -> Field:
    """The field that a name means.

    Raises:
        FilterError: there is none.
    """
    if name.entity is not None and name.entity in _MAPS:
        return MapField(_MAPS[name.entity], name.key)
    if name.entity is None or name.entity in _ATTRIBUTE_PREFIXES:
        if field := _NAMES.get(name.key):
            return field
        if name.entity is None and name.key in _MAPS:
            raise _error(f"{name.key!r} needs a key", text, name, f"write {name.key}.KEY")
        meant = _CALLED_OTHERWISE.get(name.key)
        raise _error(f"unknown attribute {name.key!r}", text, name, f"did you mean {meant!r}?" if meant else nearest(name.key, _NAMES))
    if name.entity in _LATER:
        raise _error(f"{name.entity}.* is not supported", text, name, "filters ask for metadata, tags and attributes of the trace")
    raise _error(f"unknown entity {name.entity!r}", text, name, nearest(name.entity, (*_MAPS, *_ATTRIBUTE_PREFIXES)))


def _comparison(comparison: Comparison, text: str) -> Compare:
    field = resolve_name(comparison.left, text)
    operator = comparison.operator
    if field_type(field) is Type.MILLISECONDS:
        if operator in _PATTERNS:
            raise _error(f"{operator} needs text, and {comparison.left.key} is a number", text, comparison, "compare it by = != < <= > >=")
    elif operator not in _PATTERNS | _EQUALITY:
        raise _error(f"{operator} needs a number, and {comparison.left.key} is text", text, comparison, "compare it by = != LIKE ILIKE RLIKE IN")
    return Compare(field=field, operator=operator, value=_value(field, operator, comparison.right, comparison.left, text))


def field_type(field: Field) -> Type:
    """What a field's values are compared as; values of maps are text."""
    match field:
        case MapField():
            return Type.TEXT
        case AttributeField(attribute=attribute):
            return attribute.type
        case _:
            assert_never(field)


def _value(field: Field, operator: Operator, literal: Literal, name: Identifier, text: str) -> Value:
    if field_type(field) is Type.MILLISECONDS:
        return _milliseconds(literal, name, text)
    if not isinstance(literal, Text):
        raise _error(f"{name.key} is text, its value is quoted", text, literal, f"write '{text[literal.start : literal.end]}'")
    if isinstance(field, AttributeField) and field.attribute.name == "request_id" and operator in _EQUALITY:
        return "tr-" + bare_trace_id(literal.value)
    return literal.value


def bare_trace_id(trace_id: str) -> str:
    """A trace id as SQL holds it: lower-case hex, without MLflow's ``tr-``."""
    return trace_id.removeprefix("tr-").lower()


def _milliseconds(literal: Literal, name: Identifier, text: str) -> Value:
    if isinstance(literal, Text):
        if not _QUOTED_NUMBER.fullmatch(literal.value):
            raise _error(f"{name.key} is in milliseconds, {literal.value!r} is no number", text, literal, "a time is Unix time: 1735689600000")
        value: int | float = float(literal.value) if "." in literal.value else int(literal.value)
    else:
        value = literal.value
    # Beyond Int64 only the order matters, which a float keeps.
    return float(value) if isinstance(value, int) and value not in _INT64 else value


def _error(message: str, text: str, place: Identifier | Literal | Comparison, hint: str) -> FilterError:
    return FilterError(message, text, place.start, place.end, hint)
