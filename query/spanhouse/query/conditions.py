"""Predicate -> the SQL condition on a row of ``traces`` that is exactly the predicate."""

from __future__ import annotations

from typing import assert_never

from spanhouse.query.ast import Operator
from spanhouse.query.predicate import All, AttributeField, Compare, Either, Field, MapField, Missing, Not, OneOf, Predicate
from spanhouse.query.statement import Parameters


def exact(predicate: Predicate, parameters: Parameters) -> str:
    """The condition on a row of ``traces`` that is the predicate. It is 0 or 1, never NULL, so that NOT of it is its opposite."""
    match predicate:
        case All(operands=operands):
            return "(" + (" AND ".join(exact(operand, parameters) for operand in operands) or "1") + ")"
        case Either(operands=operands):
            return "(" + " OR ".join(exact(operand, parameters) for operand in operands) + ")"
        case Not(operand=operand):
            return f"(NOT {exact(operand, parameters)})"
        case Compare() | OneOf():
            value = value_of(predicate.field, parameters)
            present = _present(predicate.field, value, parameters)
            tested = test(predicate, value, parameters)
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


def test(predicate: Compare | OneOf, value: str, parameters: Parameters) -> str:
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
