"""The vocabulary of span attributes: what instrumentations call the things that a trace's row says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.schema.vocabulary import SESSION_ATTRIBUTES, SPAN_TYPE, USER_ATTRIBUTES

FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"session": SESSION_ATTRIBUTES, "user": USER_ATTRIBUTES})
"""Name -> the span attributes that say it; of those that a span has the first one counts."""
SCRUBBED: Final = "[Scrubbed due to"
"""Begin of what stands in the place of a value that a scrubber took; it counts as absent."""


def span_type_sql(attributes: str) -> str:
    """Render SQL that gives the type of a span in MLflow's words, '' if none is said.

    Args:
        attributes: SQL of its map of attributes.
    """
    return f"trim(BOTH '\"' FROM {attributes}['{SPAN_TYPE}'])"
