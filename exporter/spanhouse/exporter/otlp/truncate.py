"""Attributes made storable: nested values as JSON text, what is beyond a limit cut and marked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse.exporter.otlp.any_value import is_nested, to_json
from spanhouse.exporter.otlp.request_limits import MAX_JSON_GROWTH, Limits

CUT_KEY: Final = "spanhouse.cut"
"""Attribute that names what was cut where it stands: a JSON object, key -> original bytes (for an array or map, those on the wire).

On a span it also tells of the span's events and links: ``events.0.KEY`` is an attribute of the first event, and ``events.0`` alone how many
attributes that event had. A key that was cut stands there as it is stored, with the bytes of the whole key.

It names texts that were not UTF-8, too (see ``repair``).
"""
_MAX_UINT32: Final = 2**32 - 1

Attributes = Any
"""A repeated field of KeyValue."""
Sizes = Mapping[str, int]
"""Names and original bytes of what was changed."""
NOTHING: Final[Sizes] = MappingProxyType({})


class Truncator:
    """Makes attributes storable, in place, and counts what that took.

    Attributes:
        cuts: what was cut, by the limit's name.
        first: the first of it in words, '' if nothing was cut.
        repaired: how many texts that are not UTF-8 were changed (see ``repair``).
        first_repaired: the first of them in words.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._small_bytes = limits.small_bytes()
        self.cuts: Counter[str] = Counter()
        self.first = ""
        self.repaired = 0
        self.first_repaired = ""

    def span(self, span: Span, repaired: Sizes = NOTHING) -> None:
        """Flatten and cut everything in a span, and mark it, as what was repaired in it.

        Raises:
            TooDeepError: a value is nested too deep.
        """
        if not repaired and span.ByteSize() <= self._small_bytes:
            for attributes in attribute_lists(span):
                flatten(attributes)
            return
        where = f"span {span.name[:100]!r}"
        cut: dict[str, int] = {}
        if dropped := self._drop(span.attributes, "attributes", where):
            span.dropped_attributes_count = min(span.dropped_attributes_count + dropped, _MAX_UINT32)
        if dropped := self._drop(span.events, "events", where):
            span.dropped_events_count = min(span.dropped_events_count + dropped, _MAX_UINT32)
        if dropped := self._drop(span.links, "links", where):
            span.dropped_links_count = min(span.dropped_links_count + dropped, _MAX_UINT32)
        self._cut(span.attributes, where, "", cut)
        for kind in ("events", "links"):
            for index, part in enumerate(getattr(span, kind)):
                count = len(part.attributes)
                if dropped := self._drop(part.attributes, "attributes", where):
                    part.dropped_attributes_count = min(part.dropped_attributes_count + dropped, _MAX_UINT32)
                    cut[f"{kind}.{index}"] = count
                self._cut(part.attributes, where, f"{kind}.{index}.", cut)
        self._mark(span.attributes, cut, repaired, where)

    def shared(self, attributes: Attributes, where: str, repaired: Sizes = NOTHING) -> None:
        """Flatten and cut the attributes of a resource or scope. Their number is left as it is.

        Raises:
            TooDeepError: a value is nested too deep.
        """
        cut: dict[str, int] = {}
        self._cut(attributes, where, "", cut)
        self._mark(attributes, cut, repaired, where)

    def _drop(self, items: Any, name: str, where: str) -> int:
        """Leave out what is beyond the limit of that name; how many that are."""
        most: int = getattr(self._limits, name)
        dropped = len(items) - most
        if dropped <= 0:
            return 0
        self._note(name, f"{where}: {len(items)} {name}, more than the {most} kept", dropped)
        del items[most:]
        return dropped

    def _cut(self, attributes: Attributes, where: str, prefix: str, cut: dict[str, int]) -> None:
        for attribute in attributes:
            key_size = _utf8_length(attribute.key, self._limits.key_bytes)
            if key_size:
                attribute.key = _cut_text(attribute.key, self._limits.key_bytes)
                cut[prefix + attribute.key] = key_size
                self._note("key_bytes", f"{where}: a key of {key_size} bytes, more than the {self._limits.key_bytes} kept")
            if size := self._cut_value(attribute.value):
                cut[prefix + attribute.key] = size
                self._note("value_bytes", f"{where}: {attribute.key[:100]!r} has {size} bytes, more than the {self._limits.value_bytes} kept")

    def _cut_value(self, value: AnyValue) -> int:
        """Bytes that the value had; 0 if it is whole."""
        most = self._limits.value_bytes
        match value.WhichOneof("value"):
            case "string_value":
                if size := _utf8_length(value.string_value, most):
                    value.string_value = _cut_text(value.string_value, most)
                return size
            case "bytes_value":
                if (size := len(value.bytes_value)) > most:
                    value.bytes_value = value.bytes_value[:most]
                    return size
            case "array_value" | "kvlist_value" as kind if (nested := is_nested(value)) or value.ByteSize() * MAX_JSON_GROWTH > most:
                size = getattr(value, kind).ByteSize()
                text = to_json(value, stop_bytes=most)
                longer = _utf8_length(text, most)
                if nested or longer:
                    value.string_value = _cut_text(text, most) if longer else text
                return size if longer else 0
        return 0

    def _mark(self, attributes: Attributes, cut: Sizes, repaired: Sizes, where: str) -> None:
        """Name what was changed in an attribute."""
        if repaired:
            self.repaired += len(repaired)
            self.first_repaired = self.first_repaired or f"{where}: {next(iter(repaired))[:100]!r}"
        if named := {**cut, **repaired}:
            attributes.add(key=CUT_KEY).value.string_value = json.dumps(named, ensure_ascii=False)

    def _note(self, limit: str, words: str, count: int = 1) -> None:
        self.cuts[limit] += count
        self.first = self.first or words


def attribute_lists(span: Span) -> Iterator[Attributes]:
    """All attributes of a span, its events and its links."""
    yield span.attributes
    for event in span.events:
        yield event.attributes
    for link in span.links:
        yield link.attributes


def flatten(attributes: Iterable[KeyValue]) -> None:
    """Put its JSON text in the place of each nested value.

    Raises:
        TooDeepError: a value is nested too deep; those before it are already rewritten.
    """
    for attribute in attributes:
        if is_nested(attribute.value):
            attribute.value.string_value = to_json(attribute.value)


def _utf8_length(text: str, most: int) -> int:
    """Bytes of a text that has more than ``most``; 0 for one that has not."""
    if len(text) * 4 <= most or (size := len(text.encode())) <= most:
        return 0
    return size


def _cut_text(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
