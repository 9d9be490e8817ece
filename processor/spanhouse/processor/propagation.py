"""Propagation of trace metadata between services as W3C baggage (https://www.w3.org/TR/baggage/).

Only names in ``configure(propagate=...)`` are sent and received: nothing leaves by accident, and anybody can send headers. Baggage keys
are the keys of the span attributes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from opentelemetry import baggage
from opentelemetry.context import Context

from spanhouse.schema import vocabulary

_NAMES_KEPT = 16
_VALUE_CHARACTERS = 256
_KEY_CHARACTERS = 128
_FIELDS = {
    "session_id": (vocabulary.SESSION_ATTRIBUTE, vocabulary.SESSION),
    "user": (vocabulary.USER_ATTRIBUTE, vocabulary.TRACE_USER),
}
# An HTTP token (RFC 9110, 5.6.2), the syntax of baggage keys.
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

_logger = logging.getLogger("spanhouse.processor")


def baggage_keys(names: Iterable[str]) -> dict[str, str]:
    """Map the names that ``configure`` takes to baggage keys, each with its metadata key."""
    keys: dict[str, str] = {}
    for name in names:
        key, metadata = _FIELDS.get(name, (vocabulary.TRACE_METADATA_PREFIX + name, name))
        if len(key) > _KEY_CHARACTERS or not _TOKEN.issuperset(key):
            _logger.warning("%r is not propagated: a name in baggage takes letters, digits and -._ and at most 100 of them", name)
        elif len(keys) >= _NAMES_KEPT:
            _logger.warning("%r is not propagated: baggage takes %d names", name, _NAMES_KEPT)
        else:
            keys[key] = metadata
    return keys


def sent(keys: Mapping[str, str], attributes: Mapping[str, str], context: Context) -> Context:
    """Add ``attributes`` of a local root to the baggage of ``context``: those in ``keys``, without values too long for receivers."""
    for key in keys:
        value = attributes.get(key)
        if value is not None:
            # An outer context's value must not be sent instead of one that is too long.
            context = baggage.set_baggage(key, value, context) if _is_fit(value) else baggage.remove_baggage(key, context)
    return context


def received(keys: Mapping[str, str], context: Context | None) -> dict[str, str]:
    """Return the attributes for a local root that a request starts, from the request's baggage."""
    attributes: dict[str, str] = {}
    for key, metadata in keys.items():
        value = baggage.get_baggage(key, context)
        if isinstance(value, str) and _is_fit(value):
            attributes[key] = attributes[vocabulary.TRACE_METADATA_PREFIX + metadata] = value
    return attributes


def _is_fit(value: str) -> bool:
    return 0 < len(value) <= _VALUE_CHARACTERS and value.isprintable()
