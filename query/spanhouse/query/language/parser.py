"""Parser: filter text -> AST, by recursive descent. Syntax only: knows no columns and no types.

::

    filter     := "" | [AND] either [AND]
    either     := all { OR all }
    all        := not { [AND] not }
    not        := NOT not | "(" either ")" | comparison
    comparison := name operator value
                | name [NOT] IN "(" value { "," value } ")"
                | name IS [NOT] NULL
    operator   := = | != | < | <= | > | >= | LIKE | ILIKE | RLIKE
    value      := 'text' | "text" | number | number unit | now() [(+ | -) number unit]
    unit       := ms | s | m | h | d | w
    name       := part { "." part }          part: a word, `quoted` or "quoted"

As in MLflow, AND may be left out, and may lead or trail. NOT binds stronger than AND, AND (written or not) stronger than OR. Keywords may have any
case.
"""

from __future__ import annotations

import math
from typing import Final

from spanhouse.query.errors import FilterError
from spanhouse.query.language.ast import (
    And,
    Comparison,
    Duration,
    Expression,
    Identifier,
    Literal,
    Membership,
    Not,
    Now,
    NullTest,
    Number,
    Operator,
    Or,
    Text,
)
from spanhouse.query.language.lexer import MAX_DIGITS, Kind, Token, tokenize

MAX_COMPARISONS: Final = 200
"""Most comparisons of a filter: more would exceed the engine's limit on the size of a statement. Values of one IN count as one."""

MAX_DEPTH: Final = 50
"""Deepest nesting: each level takes a level of Python's stack and of the engine's parser."""
_NO_OPERATOR: Final = {"BETWEEN": "write key >= 1 AND key <= 2"}


def parse(text: str | None) -> Expression:
    """Parse a filter. None and '' match everything.

    Raises:
        FilterError: the text is not in the grammar of this module's docstring.
    """
    if text is None or text == "":
        return And(operands=())
    if not isinstance(text, str):
        raise FilterError(f"a filter is a string, not {type(text).__name__}")
    return _Parser(text).filter()


def parse_name(text: str) -> Identifier:
    """Parse a text that is a single name, such as the key of an order.

    Raises:
        FilterError: the text is not a single name.
    """
    return _Parser(text).only_name()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._next = 0
        self._comparisons = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += token.kind is not Kind.END
        return token

    def _taken(self, kind: Kind, value: str) -> bool:
        """Consume the next token if it is this one, and return True; else return False."""
        found = self._token.kind is kind and self._token.value == value
        if found:
            self._next += 1
        return found

    def _error(self, message: str, token: Token, hint: str = "") -> FilterError:
        return FilterError(message, self._text, token.start, token.end, hint)

    def filter(self) -> Expression:
        self._taken(Kind.KEYWORD, "AND")
        whole = self._alternatives(0)
        if self._token.kind is not Kind.END:
            raise self._error(") closes nothing", self._token, "a key with such a character is quoted: metadata.`a)`")
        return whole

    def _alternatives(self, depth: int) -> Expression:
        operands = [self._conjunction(depth)]
        while self._taken(Kind.KEYWORD, "OR"):
            operands.append(self._conjunction(depth))
        return operands[0] if len(operands) == 1 else Or(operands=tuple(operands))

    def _conjunction(self, depth: int) -> Expression:
        operands = [self._negation(depth)]
        while True:
            joined = self._taken(Kind.KEYWORD, "AND")
            if self._ends(depth, joined=joined):
                return operands[0] if len(operands) == 1 else And(operands=tuple(operands))
            operands.append(self._negation(depth))

    def _ends(self, depth: int, *, joined: bool) -> bool:
        """Tell whether no operand follows. An AND may trail only at the end of the filter."""
        token = self._token
        if token.kind is Kind.END:
            return depth == 0 or not joined
        return not joined and ((token.kind is Kind.PUNCTUATION and token.value == ")") or (token.kind is Kind.KEYWORD and token.value == "OR"))

    def _negation(self, depth: int) -> Expression:
        token = self._token
        if depth == MAX_DEPTH:
            raise self._error(f"NOT and parentheses stand in one another at most {MAX_DEPTH} deep", token)
        if self._taken(Kind.KEYWORD, "NOT"):
            return Not(operand=self._negation(depth + 1))
        if self._taken(Kind.PUNCTUATION, "("):
            inner = self._alternatives(depth + 1)
            if not self._taken(Kind.PUNCTUATION, ")"):
                raise self._error("the parenthesis ( is never closed", token, "end it with )")
            return inner
        return self._comparison()

    def only_name(self) -> Identifier:
        name = self._name()
        if self._token.kind is not Kind.END:
            raise self._error("unexpected text after the key", self._token)
        return name

    def _comparison(self) -> Expression:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise self._error(f"a filter has at most {MAX_COMPARISONS} comparisons", self._token, "values of one key go into one IN (...)")
        left = self._name()
        token = self._take()
        if token.kind is Kind.OPERATOR or token.value in {"LIKE", "ILIKE", "RLIKE"}:
            right = self._value()
            return Comparison(left=left, operator=Operator(token.value), right=right, start=left.start, end=right.end)
        if token.kind is not Kind.KEYWORD:
            raise self._error("expected an operator", token, "such as =, !=, LIKE, IN or IS NULL")
        if token.value == "IS":
            negated = self._taken(Kind.KEYWORD, "NOT")
            null = self._take()
            if (null.kind, null.value) != (Kind.KEYWORD, "NULL"):
                raise self._error("expected NULL after IS" + " NOT" * negated, null)
            return NullTest(left=left, negated=negated, start=left.start, end=null.end)
        negated = token.value == "NOT"
        if negated:
            token = self._take()
        if (token.kind, token.value) != (Kind.KEYWORD, "IN"):
            if negated:
                raise self._error("expected IN after NOT", token, f"write NOT {self._text[left.start : left.end]} {token.value or '='} ...")
            raise self._error(f"{token.value} is not an operator", token, _NO_OPERATOR.get(token.value, "such as =, !=, LIKE, IN or IS NULL"))
        return self._membership(left, negated=negated)

    def _membership(self, left: Identifier, *, negated: bool) -> Membership:
        if not self._taken(Kind.PUNCTUATION, "("):
            raise self._error("expected ( after IN", self._token, "write IN ('a', 'b')")
        values = [self._value()]
        while self._taken(Kind.PUNCTUATION, ","):
            values.append(self._value())
        end = self._token.end
        if not self._taken(Kind.PUNCTUATION, ")"):
            raise self._error("expected , or ) in the list", self._token)
        return Membership(left=left, values=tuple(values), negated=negated, start=left.start, end=end)

    def _name(self) -> Identifier:
        token = self._take()
        if token.kind is Kind.TEXT and token.quote == '"':
            return Identifier(entity=None, key=token.value, start=token.start, end=token.end)
        if token.kind is Kind.NAME:
            entity, *rest = token.parts
            key = ".".join(rest) if rest else entity
            return Identifier(entity=entity if rest else None, key=key, start=token.start, end=token.end)
        if token.kind is Kind.END:
            raise self._error("expected a comparison", token, "such as metadata.app_version = '1.0.0'")
        if token.kind is Kind.PUNCTUATION and token.value == ")":
            raise self._error("expected a comparison before )", token, "such as metadata.app_version = '1.0.0'")
        if token.kind is Kind.TEXT:
            raise self._error("expected a key, not a text", token, "a key is quoted by backticks: metadata.`my key`")
        raise self._error("expected a key", token, "such as metadata.app_version or status")

    def _value(self) -> Literal:
        token = self._take()
        match token.kind:
            case Kind.TEXT:
                return Text(value=token.value, start=token.start, end=token.end)
            case Kind.NUMBER:
                return Number(value=self._number(token), start=token.start, end=token.end)
            case Kind.DURATION:
                return Duration(milliseconds=self._number(token), start=token.start, end=token.end)
            case Kind.NOW:
                return Now(added_ms=self._number(token), start=token.start, end=token.end)
            case Kind.KEYWORD if token.value == "NULL":
                raise self._error("NULL is not a value", token, "write IS NULL or IS NOT NULL")
            case Kind.END:
                raise self._error("expected a value", token)
            case Kind.NAME:
                raise self._error("expected a quoted value", token, f"write '{token.value.strip('`')}'")
            case _:
                raise self._error("expected a value", token, "a quoted text or a number")

    def _number(self, token: Token) -> int | float:
        if token.value.lstrip("+-").isdigit():
            if len(token.value) > MAX_DIGITS:
                raise self._error("the number is too large", token)
            return int(token.value)
        value = float(token.value)
        if math.isinf(value):
            raise self._error("the number is too large", token)
        return value
