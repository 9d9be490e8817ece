"""AnyValues that hold maps or arrays of arrays, as the JSON text that the Collector would store.

The engine renders scalars and arrays of scalars itself. The rest is found by a scan over the request's bytes and rewritten here,
value by value, to an AnyValue with that text as its string.

Text: Go's encoding/json without HTML escaping, as the Collector's ``Value.AsString`` uses it: compact, keys sorted, of duplicate keys
the last, numbers in ES6 form, bytes as base64, "no value" as null. NaN and infinities, for which Go gives up the whole value, are
the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

MAX_DEPTH: Final = 24
"""Arrays and maps inside one another that are kept exactly; a deeper value costs its span."""

_KEY_VALUE_VALUE: Final = 0x12
_ARRAY_ELEMENT: Final = 0x0A
_ARRAY: Final = 0x2A
_MAP: Final = 0x32
_VARINT_BYTES: Final = 5
_PADDING: Final = b"\0" * (2 * _VARINT_BYTES + 2)

_Bytes = npt.NDArray[np.uint8]
_Positions = npt.NDArray[np.int64]


class TooDeepError(ValueError):
    """A value is nested deeper than ``MAX_DEPTH``."""


def may_hold_nested(body: bytes) -> bool:
    """Whether a serialised request may hold a map, or an array with an array or map in it.

    Never says no to one in the encoding that protobuf libraries write; a yes may be wrong, which costs only time.
    Looks for a field of KeyValue or ArrayValue that exactly holds an AnyValue that exactly holds a container.
    """
    data: _Bytes = np.frombuffer(body + _PADDING, dtype=np.uint8)
    tags, _ = _containers(data, len(body), _KEY_VALUE_VALUE)
    if (tags == _MAP).any():
        return True
    return bool((tags == _ARRAY).any() and len(_containers(data, len(body), _ARRAY_ELEMENT)[0]))


def _containers(data: _Bytes, size: int, tag: int) -> tuple[_Bytes, _Positions]:
    """Tags and positions of the arrays and maps that fill an AnyValue that fills a field ``tag``."""
    field = np.flatnonzero(data[:size] == tag)
    inner, outer_end = _length(data, field + 1)
    kinds = data[np.minimum(inner, size)]
    kept = ((kinds == _ARRAY) | (kinds == _MAP)) & (outer_end <= size)
    inner, outer_end, kinds = inner[kept], outer_end[kept], kinds[kept]
    _, inner_end = _length(data, inner + 1)
    exact = inner_end == outer_end
    return kinds[exact], inner[exact]


def _length(data: _Bytes, at: _Positions) -> tuple[_Positions, _Positions]:
    """For length prefixes at the positions ``at``: where what they measure begins and where it ends."""
    value = (data[at] & 0x7F).astype(np.int64)
    begin = at + 1
    more = data[at] >= 0x80
    for byte in range(1, _VARINT_BYTES):
        if not more.any():
            break
        digit = data[at + byte]
        value += np.where(more, (digit & 0x7F).astype(np.int64) << (7 * byte), 0)
        begin += more
        more &= digit >= 0x80
    return begin, begin + value


def flatten(attributes: Iterable[KeyValue]) -> None:
    """Put the text of each nested value in its place.

    Raises:
        TooDeepError: a value is nested deeper than ``MAX_DEPTH``; those before it are already rewritten.
    """
    for attribute in attributes:
        value = attribute.value
        kind = value.WhichOneof("value")
        if kind == "kvlist_value" or (kind == "array_value" and any(map(_is_container, value.array_value.values))):
            value.string_value = to_json(value)


def _is_container(value: AnyValue) -> bool:
    return value.WhichOneof("value") in {"array_value", "kvlist_value"}


def to_json(value: AnyValue) -> str:
    """The Collector's JSON text of a value.

    Raises:
        TooDeepError: it is nested deeper than ``MAX_DEPTH``.
    """
    return "".join(_write(value, 0))


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
    return json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _number(number: float) -> str:
    """ES6 number text: no exponent from 1e-6 up to 1e21, none with a leading zero."""
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
