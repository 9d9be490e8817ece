"""What a request may hold. Far above real use: they bound what a mistake or a stranger can cost, and change nobody's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_JSON_GROWTH: Final = 6
"""A value's JSON text has at most so many times the bytes that it has on the wire: a control character becomes ``\\u0000``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on one request's content, beside its size in bytes.

    A value or key that is longer is cut, on a character's boundary, and marked (see ``truncate``). Attributes, events and links beyond their
    number are left out and added to the dropped counts that OTLP has for them. Spans beyond theirs, and spans of a resource or scope with
    too many attributes, are rejected. ``partial_success`` tells of each.

    Attributes:
        spans: spans in a request.
        attributes: attributes of a resource, scope, span, event or link. SDKs stop at 128.
        events: events of a span. SDKs stop at 128; a stream of tokens may have one event per token.
        links: links of a span.
        key_bytes: UTF-8 bytes of an attribute's key.
        value_bytes: bytes of an attribute's value: of a text its UTF-8, of an array or map its JSON text. Prompts of a MiB are usual.
        values: attributes, array elements, events and the like that take at most 8 bytes each, in one request. A million of them are
            2 MB on the wire and a hundred times that in memory.
        repaired_values: values in the spans, resources and scopes that hold a text which is not UTF-8, in one request: they are looked at one by one.
        repaired_bytes: by how much a request may grow where U+FFFD, three bytes, takes the place of what is not UTF-8.
        json_bytes: size of a request in JSON, decompressed. Python's text takes up to four times that.
        json_values: values of all kinds in a request in JSON, whose parser needs memory for each.
    """

    spans: int = 200_000
    attributes: int = 2048
    events: int = 16_384
    links: int = 16_384
    key_bytes: int = 4096
    value_bytes: int = 4 * 2**20
    values: int = 2_000_000
    repaired_values: int = 500_000
    repaired_bytes: int = 16 * 2**20
    json_bytes: int = 32 * 2**20
    json_values: int = 1_500_000

    def small_bytes(self) -> int:
        """Up to this size a serialised span, resource or scope is within every limit: an attribute, event or link takes two bytes at least."""
        return min(2 * self.attributes, 2 * self.events, 2 * self.links, self.key_bytes, self.value_bytes // MAX_JSON_GROWTH)


DEFAULT_LIMITS: Final = Limits()
