"""Trace metadata that crosses from service to service as W3C baggage (https://www.w3.org/TR/baggage/).

Only what is named in ``configure(propagate=...)`` goes out, and only that comes in: on one side so that nothing leaves by accident, on the
other because anybody can send headers. The baggage's keys are those of the span attributes.
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
# A token of HTTP (RFC 9110, 5.6.2), as baggage has it for keys.
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

_logger = logging.getLogger("spanhouse.processor")


def baggage_keys(names: Iterable[str]) -> dict[str, str]:
    """Keys of the baggage for names as ``configure`` takes them, each with the metadata key that it stands for."""
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
    """``context`` with the named ones of a local root's ``attributes`` in its baggage; longer values than others take in are left out."""
    for key in keys:
        value = attributes.get(key)
        if value is not None:
            # An outer context's value must not go out in place of one that cannot.
            context = baggage.set_baggage(key, value, context) if _is_fit(value) else baggage.remove_baggage(key, context)
    return context


def received(keys: Mapping[str, str], context: Context | None) -> dict[str, str]:
    """The attributes for a local root that a request starts, from the baggage that came with it."""
    attributes: dict[str, str] = {}
    for key, metadata in keys.items():
        value = baggage.get_baggage(key, context)
        if isinstance(value, str) and _is_fit(value):
            attributes[key] = attributes[vocabulary.TRACE_METADATA_PREFIX + metadata] = value
    return attributes


def _is_fit(value: str) -> bool:
    return 0 < len(value) <= _VALUE_CHARACTERS and value.isprintable()
