"""The filter as written: what `parse` gives and `resolve` takes. Positions are characters of the filter, from 0, the end exclusive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Operator(StrEnum):
    """How a comparison compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    RLIKE = "RLIKE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A name as written.

    Attributes:
        entity: what stands before the first dot; None for a bare name.
        key: the rest, quotes removed.
    """

    entity: str | None
    key: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A quoted value, quotes and escapes removed."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number; an int if it was written as one."""

    value: int | float
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A number with a unit of time, in milliseconds; an int if it is whole."""

    milliseconds: int | float
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The time of the search, and what is added to it, in milliseconds."""

    added_ms: int | float
    start: int
    end: int


Literal = Text | Number | Duration | Now


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``left operator right``."""

    left: Identifier
    operator: Operator
    right: Literal
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """``left [NOT] IN (values)``; there is at least one value."""

    left: Identifier
    values: tuple[Literal, ...]
    negated: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NullTest:
    """``left IS [NOT] NULL``."""

    left: Identifier
    negated: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """All operands hold. Without operands it always holds: an empty filter."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """At least one operand holds; there are at least two."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The operand does not hold."""

    operand: Expression


Test = Comparison | Membership | NullTest
Expression = Test | And | Or | Not
"""The closed union of what a filter can be."""


def leaves(expression: Expression) -> Iterator[Test]:
    """What an expression is made of, from left to right."""
    match expression:
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from leaves(operand)
        case Not(operand=operand):
            yield from leaves(operand)
        case _:
            yield expression
