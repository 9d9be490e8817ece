"""Limits of a request's content. Far above real use: they bound the cost of mistakes and attacks, and change nobody's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_JSON_GROWTH: Final = 6
"""Greatest growth of a value from the wire to its JSON text: a control character becomes ``\\u0000``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one request's content, beside its size in bytes.

    A longer value or key is truncated at a character's boundary and marked (see ``truncate``). Attributes, events and links beyond their limit
    are dropped and added to OTLP's dropped counts. Spans beyond theirs, and spans of a resource or scope with too many attributes, are
    rejected. ``partial_success`` names each case.

    Attributes:
        spans: spans in a request.
        attributes: attributes of a resource, scope, span, event or link. SDKs stop at 128.
        events: events of a span. SDKs stop at 128; a stream of tokens may have one event per token.
        links: links of a span.
        key_bytes: UTF-8 bytes of an attribute's key.
        value_bytes: bytes of an attribute's value: UTF-8 of a text, JSON text of an array or map. Prompts of a MiB are usual.
        values: attributes, array elements, events and the like that take at most 8 bytes each, in one request. A million of them are
            2 MB on the wire and a hundred times that in memory.
        repaired_values: values in spans, resources and scopes with a text that is not UTF-8, in one request: each is looked at.
        repaired_bytes: growth of a request where U+FFFD, three bytes, replaces invalid bytes.
        json_bytes: size of a request in JSON, decompressed. Python's text takes up to four times that.
        json_values: values of all kinds in a request in JSON; its parser needs memory for each.
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
        """Return the size up to which a serialised span, resource or scope is within every limit: an attribute, event or link takes two bytes."""
        return min(2 * self.attributes, 2 * self.events, 2 * self.links, self.key_bytes, self.value_bytes // MAX_JSON_GROWTH)


DEFAULT_LIMITS: Final = Limits()
