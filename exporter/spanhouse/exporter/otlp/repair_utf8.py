"""UTF-8 repair: U+FFFD replaces invalid bytes of a text, so that such a text costs itself and not its request.

protobuf's parser refuses a whole request for one such text. Only refused requests get here. They are read with ``partial_schemas.Loose``, where
a text is bytes; a span without invalid text is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse.exporter.errors import TooLargeError
from spanhouse.exporter.otlp.partial_schemas import Loose
from spanhouse.exporter.otlp.request_limits import Limits
from spanhouse.exporter.otlp.truncate import Sizes

Place = tuple[int, ...]
"""Indexes of a resource, of its scope, and of the scope's span: one for the resource itself, two for the scope, three for the span."""

_MARK_BYTES: Final = 16
"""Bytes of an entry in a mark beside its name."""


class Repaired(NamedTuple):
    """A request whose texts are UTF-8.

    Attributes:
        body: serialised ``ExportTraceServiceRequest``.
        sizes: by place the changed texts with their original bytes. An attribute is named by its key, as in marks of truncated values
            (see ``truncate``), any other text by its path: ``span.name``, ``span.events.0.name``, ``scope.version``, ``resource.schema_url``.
    """

    body: bytes
    sizes: Mapping[Place, Sizes]


def repair(body: bytes, limits: Limits) -> Repaired:
    """Make all texts of a serialised request UTF-8. The same request gives the same bytes each time.

    Raises:
        DecodeError: the body is not an ``ExportTraceServiceRequest`` for other reasons.
        TooLargeError: more text is invalid than work and memory are given to.
    """
    request = Loose.FromString(body)
    repairer = _Repairer(limits)
    sizes: dict[Place, Sizes] = {}
    for first, resource in enumerate(request.resource_spans):
        if texts := repairer.texts(resource, "resource") | repairer.part(resource.resource, Resource, "resource"):
            sizes[first,] = texts
        for second, scope in enumerate(resource.scope_spans):
            if texts := repairer.texts(scope, "scope") | repairer.part(scope.scope, InstrumentationScope, "scope"):
                sizes[first, second] = texts
            for third, span in enumerate(scope.spans):
                if texts := repairer.part(span, Span, "span"):
                    sizes[first, second, third] = texts
    return Repaired(request.SerializeToString(), sizes)


class _Repairer:
    """Repairer of messages of ``partial_schemas.Loose``, in place, within the limits of work and memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._values_left = limits.repaired_values
        self._bytes_left = limits.repaired_bytes

    def part(self, message: Any, strict: Any, path: str) -> dict[str, int]:
        """Repair a resource, scope or span, and return the changed texts."""
        try:
            strict.FromString(message.SerializeToString())
        except DecodeError:
            sizes: dict[str, int] = {}
            self._message(message, path, sizes)
            return sizes
        return {}

    def texts(self, message: Any, path: str) -> dict[str, int]:
        """Repair a message's own text fields, and return the changed ones."""
        sizes = {}
        for name in _fields(message.DESCRIPTOR.full_name).texts:
            value = getattr(message, name)
            if isinstance(value, bytes):
                if size := self._text(message, name):
                    sizes[f"{path}.{name}"] = size
            else:
                for index, one in enumerate(value):
                    if (text := self._repaired(one)) != one:
                        value[index], sizes[f"{path}.{name}.{index}"] = text, len(one)
        return sizes

    def _message(self, message: Any, path: str, sizes: dict[str, int]) -> None:
        self._take(1)
        sizes |= self.texts(message, path)
        for name, repeated in _fields(message.DESCRIPTOR.full_name).messages:
            if name == "attributes":
                self._attributes(message.attributes, path.partition(".")[2], sizes)
            elif not repeated:
                self._message(getattr(message, name), f"{path}.{name}", sizes)
            else:
                for index, part in enumerate(getattr(message, name)):
                    self._message(part, f"{path}.{name}.{index}", sizes)

    def _attributes(self, attributes: Any, path: str, sizes: dict[str, int]) -> None:
        for index, attribute in enumerate(attributes):
            key_size = self._text(attribute, "key", self._limits.key_bytes)
            size = self._attribute_value(attribute.value) or key_size
            if size and index < self._limits.attributes:  # further ones are dropped
                name = f"{path}.{attribute.key.decode()}" if path else attribute.key.decode()
                self._grow(len(name))
                sizes[name] = size

    def _attribute_value(self, value: Any) -> int:
        """Repair an attribute's value, and return its original bytes, on the wire for an array or map; 0 if it was UTF-8."""
        kind = value.WhichOneof("value")
        if kind == "string_value":
            self._take(1)
            return self._text(value, kind, self._limits.value_bytes)
        size = getattr(value, kind).ByteSize() if kind in {"array_value", "kvlist_value"} else 0
        return size if self._nested(value) else 0

    def _nested(self, value: Any) -> int:
        """Repair a value and those in it, and return the original bytes of changed texts."""
        self._take(1)
        match value.WhichOneof("value"):
            case "string_value":
                return self._text(value, "string_value")
            case "array_value":
                return sum(self._nested(item) for item in value.array_value.values)
            case "kvlist_value":
                return sum(self._text(item, "key") + self._nested(item.value) for item in value.kvlist_value.values)
        return 0

    def _text(self, message: Any, name: str, most: int | None = None) -> int:
        """Repair a text, and return its original bytes; 0 if it was UTF-8."""
        raw = getattr(message, name)
        if raw.isascii() or (text := self._repaired(raw, most)) == raw:
            return 0
        setattr(message, name, text)
        return len(raw)

    def _repaired(self, raw: bytes, most: int | None = None) -> bytes:
        """Return a text as UTF-8: unchanged if it was valid, else repaired and truncated to so many bytes."""
        try:
            raw.decode()
        except UnicodeDecodeError:
            text = raw.decode(errors="replace").encode()
            if most is not None and len(text) > most:
                text = text[:most].decode(errors="ignore").encode()
            self._grow(len(text) - len(raw))
            return text
        return raw

    def _take(self, values: int) -> None:
        self._values_left -= values
        if self._values_left < 0:
            raise TooLargeError(
                f"the request holds more than {self._limits.repaired_values} values beside texts that are not UTF-8: send smaller batches"
            )

    def _grow(self, size: int) -> None:
        self._bytes_left -= max(size, 0) + _MARK_BYTES
        if self._bytes_left < 0:
            raise TooLargeError(
                f"too much of the request's text is not UTF-8: at most {self._limits.repaired_bytes} bytes are repaired; send smaller batches"
            )


class _Fields(NamedTuple):
    """Names of a message's fields that hold texts, and of those that hold messages, with True for repeated ones."""

    texts: tuple[str, ...]
    messages: tuple[tuple[str, bool], ...]


@cache
def _fields(message: str) -> _Fields:
    fields = descriptor_pool.Default().FindMessageTypeByName(message).fields
    return _Fields(
        tuple(field.name for field in fields if field.type == FieldDescriptor.TYPE_STRING),
        tuple((field.name, field.is_repeated) for field in fields if field.type == FieldDescriptor.TYPE_MESSAGE),
    )
