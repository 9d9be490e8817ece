"""Requests that nobody would send: protobuf messages changed at the level of bytes and of fields."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.support.otlp import key_values, request, span

_ATTRIBUTES = {"s": "text", "i": 7, "n": -1, "f": 0.5, "b": True, "y": b"\x00\xff", "list": ["a", 1, 0.25, None], "empty": [], "none": None, "": ""}
_NESTED = {"map": {"a": 1, "b": [True, {"c": "d"}]}, "lists": [["x"], []]}
_VARINT, _FIXED64, _LENGTH, _GROUP, _END_GROUP, _FIXED32 = range(6)
_NUMBERS = (0, 1, 2, 5, 7, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
_TEXTS = (b"", b"\0", b"\0" * 8, b"\0" * 16, b"a" * 8, b"b" * 16, b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\n\x01x", b"\x32\x00", b"key", b"x" * 300)


@dataclass
class _Field:
    number: int
    kind: int
    content: int | bytes
    padding: int = 0
    """Bytes by which its tag, and its number or length, are longer than they need to be."""


def varint(number: int, padding: int = 0) -> bytes:
    """A protobuf varint, with so many bytes more than it needs."""
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    if padding:
        made[-1] |= 0x80
        made += b"\x80" * (padding - 1) + b"\0"
    return bytes(made)


def field(number: int, content: bytes) -> bytes:
    """A field with a length."""
    return varint(number << 3 | _LENGTH) + varint(len(content)) + content


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise ValueError


def _read(data: bytes) -> list[_Field]:
    """The fields of a message.

    Raises:
        ValueError, IndexError: it is none.
    """
    at, made = 0, []
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        content: int | bytes
        if kind == _VARINT:
            content, at = _read_varint(data, at)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
            content, at = int.from_bytes(data[at : at + size], "little"), at + size
        elif kind == _LENGTH:
            size, at = _read_varint(data, at)
            content, at = data[at : at + size], at + size
        else:
            raise ValueError
        if number == 0 or at > len(data):
            raise ValueError
        made.append(_Field(number, kind, content))
    return made


def _write(fields: list[_Field]) -> bytes:
    made = bytearray()
    for one in fields:
        made += varint(one.number << 3 | one.kind, one.padding)
        if isinstance(one.content, bytes):
            made += one.content if one.kind == _GROUP else varint(len(one.content), one.padding) + one.content
        elif one.kind == _VARINT:
            made += varint(one.content % 2**64, min(one.padding, 10 - len(varint(one.content % 2**64))))
        else:
            made += (one.content % 2**64).to_bytes(8, "little")[: 8 if one.kind == _FIXED64 else 4]
    return bytes(made)


def mutate_fields(chance: random.Random, body: bytes) -> bytes:
    """Change one field of a message, or of one inside it. All lengths stay right."""
    try:
        fields = _read(body)
    except (ValueError, IndexError):
        return mutate_bytes(chance, body)
    if not fields or chance.random() < 0.1:
        fields.insert(chance.randint(0, len(fields)), _any_field(chance))
        return _write(fields)
    index = chance.randrange(len(fields))
    one = fields[index]
    if isinstance(one.content, bytes) and one.content and chance.random() < 0.75:
        one.content = mutate_fields(chance, one.content)
        return _write(fields)
    match chance.randrange(9):
        case 0:
            del fields[index]
        case 1:
            fields.insert(chance.randint(0, len(fields)), one)
        case 2:
            chance.shuffle(fields)
        case 3:
            one.padding = chance.choice([1, 2, 3])
        case 4:
            one.number = chance.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19_000, 2**29 - 1])
        case 5:
            fields[index] = _Field(one.number, chance.choice([_VARINT, _FIXED64, _FIXED32]), chance.choice(_NUMBERS))
        case 6:
            fields[index] = _Field(one.number, _LENGTH, chance.choice(_TEXTS))
        case 7:
            inner = one.content if isinstance(one.content, bytes) else b""
            fields[index] = _Field(one.number, _GROUP, inner + varint(one.number << 3 | _END_GROUP))
        case 8:
            fields.insert(chance.randint(0, len(fields)), _any_field(chance))
    return _write(fields)


def _any_field(chance: random.Random) -> _Field:
    number = chance.randint(1, 20)
    if chance.random() < 0.5:
        return _Field(number, _LENGTH, chance.choice(_TEXTS))
    return _Field(number, chance.choice([_VARINT, _FIXED64, _FIXED32]), chance.choice(_NUMBERS))


def mutate_bytes(chance: random.Random, body: bytes) -> bytes:
    """Change a few bytes, whatever they mean."""
    made = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(made))
        match chance.randrange(5):
            case 0:
                made[at:at] = chance.randbytes(chance.randint(1, 4))
            case 1:
                del made[at : at + chance.randint(1, 8)]
            case 2:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                begin = chance.randint(0, len(made))
                made[at:at] = made[begin : begin + chance.randint(1, 40)]
            case 4:
                del made[at:]
    return bytes(made)


def whole_request(*, nested: bool) -> bytes:
    """A request with something in every field."""
    attributes = _ATTRIBUTES | (_NESTED if nested else {})
    full = span("full", parent=b"\x07" * 8, attributes=attributes, error=True, start_ns=1_700_000_000_000_000_000)
    full.trace_state, full.dropped_attributes_count, full.dropped_events_count, full.dropped_links_count = "a=b", 1, 2, 3
    full.events.add(name="event", time_unix_nano=5, attributes=key_values(attributes), dropped_attributes_count=9)
    full.events.add(name="bare")
    full.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, trace_state="c=d", attributes=key_values(attributes), flags=1)
    made = request([full, span("small", attributes={"one": 1})], resource={"service.name": "tests", **attributes}, scope="scope")
    made.resource_spans[0].schema_url = "https://resource"
    made.resource_spans[0].scope_spans[0].schema_url = "https://scope"
    made.resource_spans[0].scope_spans[0].scope.version = "2"
    made.resource_spans[0].scope_spans[0].scope.attributes.extend(key_values(attributes))
    return made.SerializeToString()
