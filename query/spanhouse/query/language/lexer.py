r"""Lexer: filter text -> tokens with their positions. Knows quotes, numbers and words, and no meaning.

An extension of MLflow's grammar: inside quotes a doubled quote means one quote, and a backslash escapes a quote or a backslash. Any other
backslash is literal, so that patterns like ``'\d+'`` and ``'100\%'`` need no doubling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from spanhouse.query.errors import FilterError

_SPACE: Final = re.compile(r"\s+")
_WORD: Final = re.compile(r"\w+")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_UNIT: Final = re.compile(r"(ms|s|m|h|d|w)\b")
_NOW: Final = re.compile(r"now\s*\(\s*\)(?:\s*(?P<sign>[+-])\s*(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d|w)\b)?", re.IGNORECASE | re.ASCII)
_COMMENT: Final = re.compile(r"--|/\*|#")
_OPERATOR: Final = re.compile(r"[=!<>~]+")
_OPERATORS: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})
_INSTEAD: Final = {"==": "=", "<>": "!=", "=<": "<=", "=>": ">=", "!": "!=", "~": "RLIKE", "=~": "RLIKE"}
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "LIKE", "ILIKE", "RLIKE", "IN", "IS", "NULL", "BETWEEN"})
MAX_DIGITS: Final = 30
"""Most digits of a whole number."""
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PUNCTUATION: Final = frozenset("(),")


class Kind(Enum):
    """Kind of a token."""

    NAME = auto()
    KEYWORD = auto()
    TEXT = auto()
    NUMBER = auto()
    DURATION = auto()
    NOW = auto()
    OPERATOR = auto()
    PUNCTUATION = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token.

    Attributes:
        kind: kind of the token.
        value: text without quotes and escapes; a keyword in upper case; for a duration, and for the offset of now, the milliseconds.
        start: first position, in characters from 0.
        end: last position, exclusive.
        parts: for a name, its parts between dots, without quotes and escapes.
        quote: quote around a text.
    """

    kind: Kind
    value: str
    start: int
    end: int
    parts: tuple[str, ...] = ()
    quote: str = ""


def tokenize(text: str) -> tuple[Token, ...]:
    """Split a filter, or the key of an order, into tokens; the last one is END.

    Raises:
        FilterError: an open quote, or an unknown character or operator.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FilterError("a lone surrogate is not text", text.encode(errors="replace").decode(), error.start, error.end) from None
    tokens = []
    position = 0
    while position < len(text):
        if space := _SPACE.match(text, position):
            position = space.end()
            continue
        token = _token(text, position)
        tokens.append(token)
        position = token.end
    return (*tokens, Token(Kind.END, "", len(text), len(text)))


def _token(text: str, start: int) -> Token:
    character = text[start]
    if character in "'\"`":
        value, end = _quoted(text, start)
        if character == "`" or (character == '"' and text.startswith(".", end)):
            return _name(text, start)
        return Token(Kind.TEXT, value, start, end, quote=character)
    if now := _NOW.match(text, start):
        added = _milliseconds(f"{now['sign']}{now['number']}", now["unit"]) if now["unit"] else "0"
        return Token(Kind.NOW, added, start, now.end())
    if number := _NUMBER.match(text, start):
        if unit := _UNIT.match(text, number.end()):
            return Token(Kind.DURATION, _milliseconds(number[0], unit[0]), start, unit.end())
        if tail := _WORD.match(text, number.end()):
            raise FilterError("not a number", text, start, tail.end(), "text is quoted: 'like this'; units of time are ms, s, m, h, d, w")
        return Token(Kind.NUMBER, number[0], start, number.end())
    if _WORD.match(text, start):
        return _name(text, start)
    if operator := _OPERATOR.match(text, start):
        if operator[0] not in _OPERATORS:
            instead = _INSTEAD.get(operator[0])
            raise FilterError(
                f"{operator[0]!r} is not an operator", text, start, operator.end(), f"write {instead}" if instead else "known are = != < <= > >="
            )
        return Token(Kind.OPERATOR, operator[0], start, operator.end())
    if character in _PUNCTUATION:
        return Token(Kind.PUNCTUATION, character, start, start + 1)
    if comment := _COMMENT.match(text, start):
        raise FilterError("a filter has no comments", text, start, comment.end(), "leave it out")
    raise FilterError(f"unexpected {character!r}", text, start, start + 1, "a key with such a character is quoted: metadata.`my-key`")


def _milliseconds(number: str, unit: str) -> str:
    """Convert a length of time to milliseconds, as text."""
    if number.lstrip("+-").isdigit() and len(number) <= MAX_DIGITS:
        return str(int(number) * _UNIT_MS[unit])
    milliseconds = float(number) * _UNIT_MS[unit]
    return str(int(milliseconds)) if milliseconds.is_integer() and abs(milliseconds) < 2**53 else str(milliseconds)


def _name(text: str, start: int) -> Token:
    """Read a name: parts between dots, each bare or in one pair of backticks or double quotes."""
    parts = []
    position = start
    while True:
        if text.startswith(("`", '"'), position):
            part, position = _quoted(text, position)
        elif bare := _WORD.match(text, position):
            part, position = bare[0], bare.end()
        else:
            raise FilterError(
                "expected a key after the dot", text, start, min(position + 1, len(text)), "a key with such a character is quoted: `my key`"
            )
        parts.append(part)
        if not text.startswith(".", position):
            break
        position += 1
    if len(parts) == 1 and text[start] not in '`"' and parts[0].upper() in _KEYWORDS:
        return Token(Kind.KEYWORD, parts[0].upper(), start, position)
    return Token(Kind.NAME, text[start:position], start, position, parts=tuple(parts))


def _quoted(text: str, start: int) -> tuple[str, int]:
    """Return the quoted text that begins at ``start``, escapes resolved, and the position after its closing quote."""
    quote = text[start]
    pieces = []
    position = start + 1
    while position < len(text):
        character = text[position]
        following = text[position + 1 : position + 2]
        if character == "\\" and quote != "`" and following in {"'", '"', "\\"}:
            pieces.append(following)
            position += 2
        elif character == quote and following == quote:
            pieces.append(quote)
            position += 2
        elif character == quote:
            return "".join(pieces), position + 1
        else:
            pieces.append(character)
            position += 1
    raise FilterError(f"the quote {quote} is never closed", text, start, len(text), f"end it with {quote}; inside, write {quote}{quote}")
