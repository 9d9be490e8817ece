"""Span scope of a filter: conditions on spans that are joined by AND must hold on one and the same span.

All conditions on spans outside of NOT must hold on one span of the trace; an operand of NOT has a scope of its own. If OR joins conditions on spans
with conditions on the trace, AND is distributed over it: ``A AND (B OR C)`` becomes ``A AND B OR A AND C``.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import Final

from spanhouse.query.errors import FilterError
from spanhouse.query.language.predicate import All, Either, Not, Predicate, SomeServicePart, SomeSpan, SpanField, every

MAX_BRANCHES: Final = 100
"""Most alternatives of a filter: more would make a statement that the engine parses slowly."""


class _Asks(Enum):
    OF_TRACE = auto()
    OF_SPAN = auto()
    OF_BOTH = auto()


def on_one_span(predicate: Predicate) -> Predicate:
    """Wrap the conditions on spans in ``SomeSpan``, so that those joined by AND must hold on one span.

    Raises:
        FilterError: spans and the trace are joined by OR and AND in too many ways.
    """
    if isinstance(predicate, Not):
        return Not(on_one_span(predicate.operand))
    match _asks(predicate):
        case _Asks.OF_SPAN:
            return SomeSpan(predicate)
        case _Asks.OF_TRACE:
            return _with_operands(predicate)
        case _Asks.OF_BOTH if isinstance(predicate, All):
            return _all(predicate.operands)
        case _Asks.OF_BOTH:
            return _with_operands(predicate)


def _with_operands(predicate: Predicate) -> Predicate:
    """Wrap each operand by itself: no span has to fulfil two of them."""
    match predicate:
        case All(operands=operands):
            return every(*map(on_one_span, operands))
        case Either(operands=operands):
            return Either(tuple(map(on_one_span, operands)))
        case _:
            return predicate


def _all(operands: tuple[Predicate, ...]) -> Predicate:
    of_trace = [on_one_span(operand) for operand in operands if _asks(operand) is _Asks.OF_TRACE]
    of_span = [operand for operand in operands if _asks(operand) is _Asks.OF_SPAN]
    of_both = [operand for operand in operands if _asks(operand) is _Asks.OF_BOTH]
    if not of_both:
        return every(*of_trace, SomeSpan(every(*of_span)))
    first, *others = of_both
    if not of_span and not others:
        return every(*of_trace, on_one_span(first))
    if math.prod(_branches(operand) for operand in of_both) > MAX_BRANCHES:
        raise FilterError(
            "the filter joins spans and the trace in too many ways", hint="write the conditions on spans without OR, or in fewer parentheses"
        )
    alternatives = first.operands if isinstance(first, Either) else (first,)
    return every(*of_trace, Either(tuple(on_one_span(every(alternative, *of_span, *others)) for alternative in alternatives)))


def _branches(predicate: Predicate) -> int:
    """Count the alternatives of a predicate after AND is distributed over OR."""
    match predicate:
        case All(operands=operands):
            return math.prod(map(_branches, operands))
        case Either(operands=operands):
            return sum(map(_branches, operands))
        case _:
            return 1


def _asks(predicate: Predicate) -> _Asks:
    match predicate:
        case All(operands=operands) | Either(operands=operands):
            asked = set(map(_asks, operands))
            return asked.pop() if len(asked) == 1 else _Asks.OF_BOTH if asked else _Asks.OF_TRACE
        case Not() | SomeSpan() | SomeServicePart():
            return _Asks.OF_TRACE
        case clause:
            return _Asks.OF_SPAN if isinstance(clause.field, SpanField) else _Asks.OF_TRACE
