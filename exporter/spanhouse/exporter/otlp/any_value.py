"""Nested AnyValues (maps, arrays of arrays) as JSON text, as the Collector stores them.

The engine renders scalars and arrays of scalars itself. Nested values are found by ``partial_schemas.Flat``, and each is rewritten to an
AnyValue with its JSON text as string.

Text: Go's encoding/json without HTML escaping, as the Collector's ``Value.AsString`` uses it: compact, keys sorted, of duplicate keys
the last, numbers in ES6 form, bytes as base64, "no value" as null. NaN and infinities, for which Go gives up the whole value, are
the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

MAX_DEPTH: Final = 24
"""Deepest nesting of arrays and maps that is kept exactly; a deeper value costs its span."""


class TooDeepError(ValueError):
    """A value is nested deeper than ``MAX_DEPTH``."""


def is_nested(value: AnyValue) -> bool:
    """Return True for a map, and for an array with an array or map in it."""
    kind = value.WhichOneof("value")
    return kind == "kvlist_value" or (kind == "array_value" and any(map(_is_container, value.array_value.values)))


def _is_container(value: AnyValue) -> bool:
    return value.WhichOneof("value") in {"array_value", "kvlist_value"}


def to_json(value: AnyValue, *, stop_bytes: int | None = None) -> str:
    """Return the Collector's JSON text of a value.

    Args:
        value: any value.
        stop_bytes: of a text longer than this return only a beginning, itself longer than this.

    Raises:
        TooDeepError: the value is nested deeper than ``MAX_DEPTH``.
    """
    if stop_bytes is None:
        return "".join(_write(value, 0))
    pieces, characters = [], 0
    for piece in _write(value, 0):
        pieces.append(piece)
        characters += len(piece)
        if characters > stop_bytes:
            break
    return "".join(pieces)


def _write(value: AnyValue, depth: int) -> Iterator[str]:
    match value.WhichOneof("value"):
        case "string_value":
            yield _quote(value.string_value)
        case "bool_value":
            yield "true" if value.bool_value else "false"
        case "int_value":
            yield str(value.int_value)
        case "double_value":
            yield _number(value.double_value)
        case "bytes_value":
            yield f'"{b64encode(value.bytes_value).decode()}"'
        case "array_value":
            yield from _write_all("[]", [("", item) for item in value.array_value.values], depth)
        case "kvlist_value":
            last = {item.key: item.value for item in value.kvlist_value.values}
            # Go sorts strings by their bytes, Python by code point: the same order in UTF-8.
            yield from _write_all("{}", [(f"{_quote(key)}:", last[key]) for key in sorted(last)], depth)
        case _:
            yield "null"


def _write_all(brackets: str, items: Sequence[tuple[str, AnyValue]], depth: int) -> Iterator[str]:
    if depth >= MAX_DEPTH:
        raise TooDeepError(f"nested deeper than {MAX_DEPTH} levels")
    yield brackets[0]
    for index, (prefix, item) in enumerate(items):
        yield f",{prefix}" if index else prefix
        yield from _write(item, depth + 1)
    yield brackets[1]


def _quote(text: str) -> str:
    quoted = encode_basestring(text)
    return quoted if quoted.isascii() else quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _number(number: float) -> str:
    """Return a number as ES6 text: no exponent from 1e-6 up to 1e21, none with a leading zero."""
    if not math.isfinite(number):
        return '"NaN"' if math.isnan(number) else ('"Infinity"' if number > 0 else '"-Infinity"')
    digits, _, exponent = repr(number).partition("e")
    if exponent and not 1e-6 <= abs(number) < 1e21:
        return f"{digits}e{int(exponent):+d}"
    if exponent or "." in digits:
        sign, whole_and_fraction = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
        whole, _, fraction = whole_and_fraction.partition(".")
        point = len(whole) + int(exponent or 0)
        every = whole + ("" if fraction == "0" else fraction)
        if point <= 0:
            return f"{sign}0.{'0' * -point}{every}"
        every = every.ljust(point, "0")
        return f"{sign}{every[:point]}" + (f".{every[point:]}" if every[point:] else "")
    return digits
