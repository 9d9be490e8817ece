"""What a filter means: what `resolve` gives and `compile_` takes. No names left to look up, no types left to check.

A field without a value for a trace makes every clause but ``Missing`` not hold. There is no third truth: what does not hold is false, and
``Not`` of it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spanhouse.query.ast import Operator
from spanhouse.schema.trace_attributes import Attribute


class MapColumn(StrEnum):
    """Columns of ``traces`` that are maps from key to text."""

    METADATA = "Metadata"
    TAGS = "Tags"


@dataclass(frozen=True, slots=True)
class MapField:
    """One key of a map column."""

    column: MapColumn
    key: str


@dataclass(frozen=True, slots=True)
class AttributeField:
    """A trace attribute of the vocabulary."""

    attribute: Attribute


Field = MapField | AttributeField
Value = str | int | float


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
Predicate = Clause | All | Either | Not
"""The closed union of what a filter can mean."""

EVERYTHING: Final = All(())
"""What every trace fulfils."""


def every(*predicates: Predicate) -> Predicate:
    """All of them hold; what is itself joined by AND is joined with the others."""
    operands = [operand for predicate in predicates for operand in (predicate.operands if isinstance(predicate, All) else (predicate,))]
    return operands[0] if len(operands) == 1 else All(tuple(operands))
