"""Translation of OTLP's JSON encoding to protobuf, so that everything behind the transport sees one encoding.

The rules are those of the OTLP specification, "JSON Protobuf Encoding", where they differ from protobuf's own JSON: ids are hex in any case,
enums are numbers only, keys are lowerCamelCase only. Else protobuf's hold: 64-bit integers are numbers or strings, doubles may be the strings
"NaN", "Infinity" and "-Infinity", bytes are base64 of either alphabet with or without padding, null is a field left out, and unknown keys are
ignored. ``json_format`` of the protobuf package takes names for enums, snake_case keys and base64 ids, and needs several times as long.

Hostile JSON costs no more than ``Limits`` says: its values are counted before any is made.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spanhouse.exporter.errors import InvalidRequestError, TooLargeError
from spanhouse.exporter.otlp.request_limits import DEFAULT_LIMITS, Limits

_MAX_MESSAGES_DEEP: Final = 100
"""Deepest nesting of messages that protobuf parsers accept."""
_HEX_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_SEPARATOR: Final = np.zeros(256, bool)
_SEPARATOR[list(b",[{")] = True
_SCANNED_BYTES: Final = 2**20
_SHOWN_PATH: Final = 200


class _FieldError(ValueError):
    """A value that its field can't hold. The path to the field is collected while the error rises."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.path: list[str] = []


def to_protobuf(body: bytes, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Translate a request in JSON to a serialised ``ExportTraceServiceRequest``. The same text gives the same bytes each time.

    This takes many times the body's bytes for a moment: call it for one large body at a time.

    Raises:
        InvalidRequestError: the body is not JSON, or not an ``ExportTraceServiceRequest``.
        TooLargeError: the body is larger, or holds more values, than allowed.
    """
    request = ExportTraceServiceRequest()
    try:
        _fill(request, _parse(body, limits), 1)
    except _FieldError as error:
        where = ".".join(reversed(error.path)).replace(".[", "[")[:_SHOWN_PATH]
        raise InvalidRequestError(f"the body is not an OTLP ExportTraceServiceRequest in JSON: {where}: {error}", field=where) from None
    except RecursionError:
        raise InvalidRequestError("the body is nested too deep") from None
    return request.SerializeToString()


def _parse(body: bytes, limits: Limits) -> Any:
    if len(body) > limits.json_bytes:
        raise TooLargeError(
            f"the request has {len(body)} bytes, more than the {limits.json_bytes} allowed in JSON: send smaller batches, or protobuf"
        )
    # Texts hold commas too. So where there are too many commas, those outside of texts are counted.
    if sum(map(body.count, (b",", b"[", b"{"))) > limits.json_values and _values(body) > limits.json_values:
        raise TooLargeError(f"the request has more than {limits.json_values} JSON values: send smaller batches, or protobuf")
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except ValueError as error:
        raise InvalidRequestError(f"the body is not JSON: {str(error)[:200]}") from None


def _values(body: bytes) -> int:
    """Count the values of a JSON text, without the first."""
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    found, in_text = 0, False
    for begin in range(0, len(unescaped), _SCANNED_BYTES):
        piece = np.frombuffer(unescaped[begin : begin + _SCANNED_BYTES], np.uint8)
        in_texts = np.logical_xor.accumulate(piece == ord('"')) ^ in_text
        found += int(np.count_nonzero(_SEPARATOR[piece] & ~in_texts))
        in_text = bool(in_texts[-1])
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value; as a double it is the string")


@dataclass(frozen=True, slots=True)
class _Field:
    """A field and its reading: a scalar is converted by ``convert``, a message is filled."""

    name: str
    repeated: bool
    convert: Callable[[Any], Any] | None
    in_oneof: bool


def _fill(message: Message, value: Any, depth: int) -> None:
    """Set a message's fields from a JSON object."""
    if not isinstance(value, dict):
        raise _FieldError("not an object")
    if depth > _MAX_MESSAGES_DEEP:
        raise _FieldError("nested too deep")
    fields = _fields(message.DESCRIPTOR)
    chosen = False
    for key, item in value.items():
        field = fields.get(key)
        if field is None or item is None:
            continue
        if field.in_oneof and chosen:
            raise _at(key, "a second value")
        chosen = chosen or field.in_oneof
        try:
            if field.repeated:
                _extend(getattr(message, field.name), field, item, depth)
            elif field.convert is not None:
                setattr(message, field.name, field.convert(item))
            else:
                inner = getattr(message, field.name)
                inner.SetInParent()
                _fill(inner, item, depth + 1)
        except _FieldError as error:
            error.path.append(key)
            raise
        except (ValueError, TypeError, OverflowError):
            raise _at(key, "out of range") from None


def _extend(into: Any, field: _Field, items: Any, depth: int) -> None:
    if not isinstance(items, list):
        raise _FieldError("not an array")
    for index, item in enumerate(items):
        try:
            if field.convert is not None:
                into.append(field.convert(item))
            else:
                _fill(into.add(), item, depth + 1)
        except _FieldError as error:
            error.path.append(f"[{index}]")
            raise


def _at(key: str, problem: str) -> _FieldError:
    error = _FieldError(problem)
    error.path.append(key)
    return error


@cache
def _fields(descriptor: Descriptor) -> Mapping[str, _Field]:
    """Return the fields of a message by their keys in JSON."""
    return {
        field.json_name: _Field(field.name, field.is_repeated, _converter(field), field.containing_oneof is not None) for field in descriptor.fields
    }


def _converter(field: FieldDescriptor) -> Callable[[Any], Any] | None:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return None
        case FieldDescriptor.CPPTYPE_BOOL:
            return _bool
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return _double
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return _hex if field.name in _HEX_FIELDS else _base64
        case FieldDescriptor.CPPTYPE_STRING:
            return _text
        case FieldDescriptor.CPPTYPE_ENUM:
            return _enum
    return _integer


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _FieldError("not a string")
    # Half of a surrogate pair, as JavaScript has where it cut a text, is no character: Go's and Java's parsers replace it too.
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _FieldError("neither true nor false")
    return value


def _enum(value: Any) -> int:
    if isinstance(value, str):
        raise _FieldError("OTLP has enums as numbers only")
    return _integer(value)


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise _FieldError("not an integer")


def _double(value: Any) -> float:
    if isinstance(value, str):
        if value in _NOT_NUMBERS:
            return _NOT_NUMBERS[value]
        if not _NUMBER.fullmatch(value):
            raise _FieldError("not a number")
    elif not isinstance(value, int | float) or isinstance(value, bool):
        raise _FieldError("not a number")
    number = float(value)
    if math.isinf(number):
        raise _FieldError("out of range")
    return number


def _hex(value: Any) -> bytes:
    try:
        # fromhex skips spaces, which an id has none of.
        if isinstance(value, str) and not any(map(str.isspace, value)):
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise _FieldError("an id is hex digits in OTLP's JSON")


def _base64(value: Any) -> bytes:
    try:
        if isinstance(value, str):
            digits = value.rstrip("=").replace("-", "+").replace("_", "/")
            return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        pass
    raise _FieldError("not base64")
