"""Syntax tree of a filter: output of ``parse``, input of ``resolve``. Positions are characters of the filter, from 0, the end exclusive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Operator(StrEnum):
    """Operator of a comparison."""

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
        entity: part before the first dot; None for a bare name.
        key: rest of the name, quotes removed.
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
    """The time of the search plus an offset, in milliseconds."""

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
    """Conjunction: all operands hold. Without operands it always holds: an empty filter."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """Disjunction of at least two operands: at least one holds."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """Negation: the operand does not hold."""

    operand: Expression


Test = Comparison | Membership | NullTest
Expression = Test | And | Or | Not
"""Closed union of a filter's expressions."""


def leaves(expression: Expression) -> Iterator[Test]:
    """Yield the tests of an expression, from left to right."""
    match expression:
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from leaves(operand)
        case Not(operand=operand):
            yield from leaves(operand)
        case _:
            yield expression
