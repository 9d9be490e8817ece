"""Predicate -> SQL conditions: the exact one on a row of ``traces``, and necessary ones on rows of ``traces_parts``.

The view merges the parts of every trace that it is asked for, so a search first names the traces that can match at all. A
*necessary* condition follows from the exact one: each value of a merged trace stands verbatim in one of its parts, and what comes
from the root (name, service, start, duration) stands in the same part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from spanhouse.query.ast import Operator
from spanhouse.query.predicate import All, AttributeField, Compare, Field, MapColumn, MapField, Missing, OneOf, Predicate, Value
from spanhouse.query.statement import Parameters
from spanhouse.schema.vocabulary import TRACE_NAME_TAG

_ERROR: Final = "ERROR"


def exact(predicate: Predicate, parameters: Parameters) -> str:
    """The condition on a row of ``traces`` that is the predicate."""
    match predicate:
        case All(operands=operands):
            return " AND ".join(exact(operand, parameters) for operand in operands) or "1"
        case Compare() | OneOf():
            value = value_of(predicate.field, parameters)
            present = _present(predicate.field, value, parameters)
            tested = _test(predicate, value, parameters)
            return f"({present} AND {tested})" if present else tested
        case Missing(field=field, negated=negated):
            present = _present(field, value_of(field, parameters), parameters) or "1"
            return present if negated else f"NOT {present}"
        case _:
            assert_never(predicate)


def value_of(field: Field, parameters: Parameters) -> str:
    """SQL for a field's value; '' or NULL where it has none."""
    match field:
        case MapField(column=column, key=key):
            return f"{column}[{parameters.text(key)}]"
        case AttributeField(attribute=attribute):
            return attribute.sql
        case _:
            assert_never(field)


def _present(field: Field, value: str, parameters: Parameters) -> str:
    """The condition that a field has a value; '' if it always has one."""
    match field:
        case MapField(column=column, key=key):
            return f"mapContains({column}, {parameters.text(key)})"
        case AttributeField(attribute=attribute) if attribute.absent is None:
            return ""
        case AttributeField(attribute=attribute):
            return f"({value} IS NOT NULL)" if attribute.absent == "NULL" else f"({value} != '')"
        case _:
            assert_never(field)


def nullable(field: Field, parameters: Parameters) -> str:
    """SQL for a field's value; NULL where it has none."""
    value = value_of(field, parameters)
    match field:
        case MapField():
            return f"if({_present(field, value, parameters)}, {value}, NULL)"
        case AttributeField(attribute=attribute) if attribute.absent == "''":
            return f"nullIf({value}, '')"
        case _:
            return value


def _test(predicate: Compare | OneOf, value: str, parameters: Parameters) -> str:
    """The condition that a value which is there passes."""
    if isinstance(predicate, OneOf):
        return f"{value} {'NOT IN' if predicate.negated else 'IN'} {parameters.values(predicate.values)}"
    match predicate.operator:
        case Operator.LIKE | Operator.ILIKE as operator:
            return f"{value} {operator} {parameters.text(_like_pattern(str(predicate.value)))}"
        case Operator.RLIKE:
            return f"match({value}, {parameters.text(str(predicate.value))})"
        case operator:
            return f"{value} {operator} {parameters.value(predicate.value)}"


def _like_pattern(pattern: str) -> str:
    """The pattern with every backslash that escapes nothing doubled: the engine refuses one at the end."""
    pieces = []
    position = 0
    while position < len(pattern):
        pair = pattern[position : position + 2]
        if pair in {"\\%", "\\_", "\\\\"}:
            pieces.append(pair)
            position += 2
        else:
            pieces.append("\\\\" if pair[0] == "\\" else pair[0])
            position += 1
    return "".join(pieces)


def root_conditions(predicate: Predicate, parameters: Parameters) -> Iterator[str]:
    """Conditions that the part of a matching trace's root fulfils, all on the same part."""
    for clause in _positive(predicate):
        match clause:
            case Compare(field=AttributeField(attribute=attribute)) if attribute.name == "name":
                yield _test(clause, "Name", parameters)
            case OneOf(field=AttributeField(attribute=attribute)) if attribute.name == "name":
                yield _test(clause, "Name", parameters)
            case Compare(field=MapField(column=MapColumn.TAGS, key=key)) | OneOf(field=MapField(column=MapColumn.TAGS, key=key)) if (
                key == TRACE_NAME_TAG
            ):
                yield _test(clause, "Name", parameters)
            case Compare(field=AttributeField(attribute=attribute)) if attribute.name in {"execution_time", "execution_time_ms"}:
                yield _test(clause, "intDiv(Duration, 1000000)", parameters)
            case _:
                pass


def part_conditions(predicate: Predicate, parameters: Parameters) -> Iterator[str]:
    """Conditions of which each is fulfilled by some part of a matching trace, not all by the same."""
    for clause in _positive(predicate):
        match clause.field:
            case MapField(column=MapColumn.METADATA, key=key):
                yield " OR ".join(_in_part(clause, column, parameters.text(key), parameters) for column in ("ProcessMetadata", "TraceMetadata"))
            case MapField(column=MapColumn.TAGS, key=key) if key != TRACE_NAME_TAG:
                yield _in_part(clause, "Tags", parameters.text(key), parameters)
            case AttributeField(attribute=attribute) if attribute.name == "client_request_id":
                yield _test(clause, "ClientRequestId", parameters)
            case AttributeField(attribute=attribute) if attribute.name == "status" and _values(clause) == {_ERROR}:
                yield "StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR State = 'ERROR'"
            case _:
                pass


def _in_part(clause: Compare | OneOf, column: str, key: str, parameters: Parameters) -> str:
    """The condition that a part's map holds a value that passes; a key that is not there reads as ''."""
    tested = _test(clause, f"{column}[{key}]", parameters)
    values = _values(clause)
    return tested if values and "" not in values else f"(mapContains({column}, {key}) AND {tested})"


def trace_ids(predicate: Predicate) -> Iterator[tuple[str, ...]]:
    """Lists of bare trace ids of which each holds all traces that can match."""
    for clause in _positive(predicate):
        if isinstance(clause.field, AttributeField) and clause.field.attribute.name == "request_id" and (values := _values(clause)):
            yield tuple(sorted(str(value).removeprefix("tr-") for value in values))


def _values(clause: Compare | OneOf) -> set[Value]:
    """The values that a clause allows; empty if they are not listed."""
    if isinstance(clause, OneOf):
        return set(clause.values)
    return {clause.value} if clause.operator is Operator.EQUAL else set()


def _positive(predicate: Predicate) -> Iterator[Compare | OneOf]:
    """Clauses that must hold and are worth looking for in the parts: those that a minority of values passes."""
    match predicate:
        case All(operands=operands):
            for operand in operands:
                yield from _positive(operand)
        case Compare(operator=operator) if operator is not Operator.NOT_EQUAL:
            yield predicate
        case OneOf(negated=False):
            yield predicate
        case Compare() | OneOf() | Missing():
            pass
        case _:
            assert_never(predicate)
