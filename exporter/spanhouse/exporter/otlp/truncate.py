"""Truncation: makes attributes storable. Nested values become JSON text; content beyond a limit is cut and marked."""

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
"""Attribute that marks truncated neighbours: a JSON object, key -> original bytes (for an array or map, those on the wire).

On a span it also marks the span's events and links: ``events.0.KEY`` is an attribute of the first event, ``events.0`` alone the number of
attributes that event had. A truncated key stands there as it is stored, with the bytes of the whole key.

Texts that were not UTF-8 are marked too (see ``repair_utf8``).
"""
_MAX_UINT32: Final = 2**32 - 1

Attributes = Any
"""A repeated field of KeyValue."""
Sizes = Mapping[str, int]
"""Original bytes of changed texts, by name."""
NOTHING: Final[Sizes] = MappingProxyType({})


class Truncator:
    """Truncator of attributes, in place; counts its changes.

    Attributes:
        cuts: number of cuts, by the limit's name.
        first: first cut in words, '' if nothing was cut.
        repaired: number of repaired texts that were not UTF-8 (see ``repair_utf8``).
        first_repaired: first repaired text in words.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._small_bytes = limits.small_bytes()
        self.cuts: Counter[str] = Counter()
        self.first = ""
        self.repaired = 0
        self.first_repaired = ""

    def span(self, span: Span, repaired: Sizes = NOTHING) -> None:
        """Flatten and truncate all attributes of a span; mark those changes and the repaired texts.

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
        """Flatten and truncate the attributes of a resource or scope. Their number is left as it is.

        Raises:
            TooDeepError: a value is nested too deep.
        """
        cut: dict[str, int] = {}
        self._cut(attributes, where, "", cut)
        self._mark(attributes, cut, repaired, where)

    def _drop(self, items: Any, name: str, where: str) -> int:
        """Drop items beyond the limit of that name, and return their number."""
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
        """Truncate a value, and return its original bytes; 0 if it is whole."""
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
        """Add the attribute that names the changes."""
        if repaired:
            self.repaired += len(repaired)
            self.first_repaired = self.first_repaired or f"{where}: {next(iter(repaired))[:100]!r}"
        if named := {**cut, **repaired}:
            attributes.add(key=CUT_KEY).value.string_value = json.dumps(named, ensure_ascii=False)

    def _note(self, limit: str, words: str, count: int = 1) -> None:
        self.cuts[limit] += count
        self.first = self.first or words


def attribute_lists(span: Span) -> Iterator[Attributes]:
    """Return the attributes of a span, of its events and of its links."""
    yield span.attributes
    for event in span.events:
        yield event.attributes
    for link in span.links:
        yield link.attributes


def flatten(attributes: Iterable[KeyValue]) -> None:
    """Replace each nested value by its JSON text.

    Raises:
        TooDeepError: a value is nested too deep; the values before it are already rewritten.
    """
    for attribute in attributes:
        if is_nested(attribute.value):
            attribute.value.string_value = to_json(attribute.value)


def _utf8_length(text: str, most: int) -> int:
    """Return the bytes of a text with more than ``most``; 0 for a shorter one."""
    if len(text) * 4 <= most or (size := len(text.encode())) <= most:
        return 0
    return size


def _cut_text(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
