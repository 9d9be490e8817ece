"""The filter as written: what `parse` gives and `resolve` takes. Positions are characters of the filter, from 0, the end exclusive."""

from __future__ import annotations

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


Literal = Text | Number


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


Expression = Comparison | Membership | NullTest | And
"""The closed union of what a filter can be."""
