"""Redaction of a filter's values, so that it is safe to log."""

from __future__ import annotations

import re
from typing import Final, assert_never

from spanhouse.query.errors import FilterError
from spanhouse.query.language.ast import And, Comparison, Expression, Identifier, Membership, Not, NullTest, Or
from spanhouse.query.language.parser import parse

_WORD: Final = re.compile(r"\w+(\.\w+)*")
_VALUE: Final = "?"


def redact_filter(filter_string: str | None) -> str:
    """Print a filter with ``?`` for every value, in one line and a normal form: filters that differ only in values are printed alike.

    Nothing of an invalid filter is printed, since any part may be a value.
    """
    try:
        return _printed(parse(filter_string))
    except FilterError:
        return "(not a filter)"


def _printed(expression: Expression) -> str:
    match expression:
        case And(operands=operands):
            return " AND ".join(map(_inside, operands))
        case Or(operands=operands):
            return " OR ".join(map(_inside, operands))
        case Not(operand=operand):
            return f"NOT {_inside(operand)}"
        case Comparison(left=left, operator=operator):
            return f"{_name(left)} {operator} {_VALUE}"
        case Membership(left=left, negated=negated):
            return f"{_name(left)} {'NOT ' * negated}IN ({_VALUE})"
        case NullTest(left=left, negated=negated):
            return f"{_name(left)} IS {'NOT ' * negated}NULL"
        case _:
            assert_never(expression)


def _inside(expression: Expression) -> str:
    """Print an operand of a longer filter, in parentheses if it has more than one comparison."""
    return f"({_printed(expression)})" if isinstance(expression, And | Or) else _printed(expression)


def _name(name: Identifier) -> str:
    key = name.key if _WORD.fullmatch(name.key) else f"`{name.key.replace('`', '``')}`"
    return "".join(character if character.isprintable() else "?" for character in (key if name.entity is None else f"{name.entity}.{key}"))
