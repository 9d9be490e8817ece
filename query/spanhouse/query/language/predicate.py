"""What a filter means: what `resolve` gives and `compile_` takes. No names left to look up, no types left to check.

A field without a value for a trace makes every clause but ``Missing`` not hold. There is no third truth: what does not hold is false, and
``Not`` of it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spanhouse.query.language.ast import Operator
from spanhouse.schema.trace_attributes import Attribute


class MapColumn(StrEnum):
    """Columns of ``traces``, and below ``SpanField`` of ``otel_traces``, that are maps from key to text; below ``Took`` the service's own."""

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
    """What a span has, not its trace."""

    of: TraceField


TraceField = MapField | AttributeField
Field = TraceField | SpanField


@dataclass(frozen=True, slots=True)
class Version:
    """A version to compare texts with: those that are versions.

    Attributes:
        key: as ``version_key`` gives it.
    """

    key: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A time to compare texts with: those that say one."""

    unix_us: int


@dataclass(frozen=True, slots=True)
class FromNow:
    """The time of the search, and what is added to it."""

    added_ms: int | float


Value = str | int | float | Version | Moment | FromNow
"""What a field is compared with. A number compares numbers: of texts those that are decimal numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """The field's value compares so with ``value``. Patterns of LIKE and ILIKE escape ``%``, ``_`` and the backslash by a backslash."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """The field's value is among ``values``; if negated, it has a value that is not."""

    field: Field
    values: tuple[Value, ...]
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The field has no value; if negated, it has one."""

    field: Field
    negated: bool


@dataclass(frozen=True, slots=True)
class All:
    """All operands hold; without operands, always."""

    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one operand holds; there are at least two."""

    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The operand does not hold: true exactly where the operand is false, so also for a trace without the field that it compares."""

    operand: Predicate


Clause = Compare | OneOf | Missing


@dataclass(frozen=True, slots=True)
class SomeSpan:
    """Some span of the trace fulfils the operand, which asks of ``SpanField`` alone."""

    operand: Predicate


@dataclass(frozen=True, slots=True)
class Took:
    """The service took part in the trace, and one of its versions there fulfils the operand, whose fields ``took.own`` has made the service's."""

    service: str
    operand: Predicate


Predicate = Clause | All | Either | Not | SomeSpan | Took
"""The closed union of what a filter can mean."""

EVERYTHING: Final = All(())
"""What every trace fulfils."""


def at(predicate: Predicate, now_ms: int) -> Predicate:
    """The same with every ``FromNow`` counted from that Unix time in milliseconds."""
    match predicate:
        case All(operands=operands):
            return All(tuple(at(operand, now_ms) for operand in operands))
        case Either(operands=operands):
            return Either(tuple(at(operand, now_ms) for operand in operands))
        case Not(operand=operand):
            return Not(at(operand, now_ms))
        case SomeSpan(operand=operand):
            return SomeSpan(at(operand, now_ms))
        case Took(service=service, operand=operand):
            return Took(service, at(operand, now_ms))
        case Compare(field=field, operator=operator, value=FromNow() as value):
            return Compare(field=field, operator=operator, value=_time(field, now_ms + value.added_ms))
        case OneOf(field=field, values=values, negated=negated):
            fixed = (_time(field, now_ms + value.added_ms) if isinstance(value, FromNow) else value for value in values)
            return OneOf(field=field, values=tuple(fixed), negated=negated)
        case _:
            return predicate


def _time(field: Field, unix_ms: float) -> Value:
    """A time as a field is compared with it: texts with a moment."""
    return unix_ms if isinstance(field, AttributeField) else Moment(max(-(2**63), min(int(unix_ms * 1000), 2**63 - 1)))


def asks_of_spans(predicate: Predicate) -> bool:
    """Whether the answer needs spans, and not only what is known of the trace."""
    match predicate:
        case All(operands=operands) | Either(operands=operands):
            return any(map(asks_of_spans, operands))
        case Not(operand=operand) | Took(operand=operand):
            return asks_of_spans(operand)
        case _:
            return isinstance(predicate, SomeSpan)


def every(*predicates: Predicate) -> Predicate:
    """All of them hold; what is itself joined by AND is joined with the others."""
    operands = [operand for predicate in predicates for operand in (predicate.operands if isinstance(predicate, All) else (predicate,))]
    return operands[0] if len(operands) == 1 else All(tuple(operands))
