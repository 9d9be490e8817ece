"""Predicates: resolved filters, output of ``resolve``, input of ``compile_search``. Names are looked up, and types are checked.

If a trace has no value for a field, every clause on the field but ``Missing`` is false. There is no third truth value: ``Not`` of false is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spanhouse.query.language.ast import Operator
from spanhouse.schema.trace_attributes import Attribute


class MapColumn(StrEnum):
    """Map column from key to text: of ``traces``, within ``SpanField`` of ``otel_traces``, within ``SomeServicePart`` of the service."""

    METADATA = "Metadata"
    TAGS = "Tags"
    SPAN_ATTRIBUTES = "SpanAttributes"
    RESOURCE_ATTRIBUTES = "ResourceAttributes"
    OWN = "Own"


@dataclass(frozen=True, slots=True)
class MapField:
    """One key of a map column."""

    column: MapColumn
    key: str


@dataclass(frozen=True, slots=True)
class AttributeField:
    """A trace attribute of the vocabulary."""

    attribute: Attribute


@dataclass(frozen=True, slots=True)
class SpanField:
    """A field of a span, not of its trace."""

    of: TraceField


TraceField = MapField | AttributeField
Field = TraceField | SpanField


@dataclass(frozen=True, slots=True)
class Version:
    """A version; compares only with texts that are versions.

    Attributes:
        key: sortable text from ``version_key``.
    """

    key: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A time; compares only with texts that are times."""

    unix_us: int


@dataclass(frozen=True, slots=True)
class FromNow:
    """The time of the search plus an offset."""

    added_ms: int | float


Value = str | int | float | Version | Moment | FromNow
"""Right side of a comparison. A number compares only with numbers, and with texts that are decimal numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """Comparison of the field's value with ``value``. Patterns of LIKE and ILIKE escape ``%``, ``_`` and the backslash by a backslash."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """Membership: the field's value is among ``values``; negated: the field has a value that is not among them."""

    field: Field
    values: tuple[Value, ...]
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Absence: the field has no value; negated: it has one."""

    field: Field
    negated: bool


@dataclass(frozen=True, slots=True)
class All:
    """Conjunction: all operands hold; without operands, always true."""

    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Disjunction of at least two operands: at least one holds."""

    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Negation: true exactly if the operand is false, so also for a trace without the compared field."""

    operand: Predicate


Clause = Compare | OneOf | Missing


@dataclass(frozen=True, slots=True)
class SomeSpan:
    """Condition that one span of the trace fulfils the operand, whose fields are all ``SpanField``."""

    operand: Predicate


@dataclass(frozen=True, slots=True)
class SomeServicePart:
    """Condition that the service took part in the trace, and that one of its versions fulfils the operand, made by ``service_part.own``."""

    service: str
    operand: Predicate


Predicate = Clause | All | Either | Not | SomeSpan | SomeServicePart
"""Closed union of predicates."""

EVERYTHING: Final = All(())
"""Predicate that every trace fulfils."""


def at(predicate: Predicate, now_ms: int) -> Predicate:
    """Replace every ``FromNow`` by a fixed time, counted from this Unix time in milliseconds."""
    match predicate:
        case All(operands=operands):
            return All(tuple(at(operand, now_ms) for operand in operands))
        case Either(operands=operands):
            return Either(tuple(at(operand, now_ms) for operand in operands))
        case Not(operand=operand):
            return Not(at(operand, now_ms))
        case SomeSpan(operand=operand):
            return SomeSpan(at(operand, now_ms))
        case SomeServicePart(service=service, operand=operand):
            return SomeServicePart(service, at(operand, now_ms))
        case Compare(field=field, operator=operator, value=FromNow() as value):
            return Compare(field=field, operator=operator, value=_time(field, now_ms + value.added_ms))
        case OneOf(field=field, values=values, negated=negated):
            fixed = (_time(field, now_ms + value.added_ms) if isinstance(value, FromNow) else value for value in values)
            return OneOf(field=field, values=tuple(fixed), negated=negated)
        case _:
            return predicate


def _time(field: Field, unix_ms: float) -> Value:
    """Return a time in the form for a field's type: milliseconds for a time attribute, a ``Moment`` for text."""
    return unix_ms if isinstance(field, AttributeField) else Moment(max(-(2**63), min(int(unix_ms * 1000), 2**63 - 1)))


def asks_of_spans(predicate: Predicate) -> bool:
    """Tell whether the predicate needs the trace's spans, not only its row."""
    match predicate:
        case All(operands=operands) | Either(operands=operands):
            return any(map(asks_of_spans, operands))
        case Not(operand=operand) | SomeServicePart(operand=operand):
            return asks_of_spans(operand)
        case _:
            return isinstance(predicate, SomeSpan)


def every(*predicates: Predicate) -> Predicate:
    """Join predicates by AND; operands of nested conjunctions are joined at the same level."""
    operands = [operand for predicate in predicates for operand in (predicate.operands if isinstance(predicate, All) else (predicate,))]
    return operands[0] if len(operands) == 1 else All(tuple(operands))
