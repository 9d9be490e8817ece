"""The vocabulary of span attributes: what instrumentations call the things that a trace's row says."""

from __future__ import annotations

from spanhouse.schema.vocabulary import SPAN_TYPE


def span_type_sql(attributes: str) -> str:
    """Render SQL that gives the type of a span in MLflow's words, '' if none is said.

    Args:
        attributes: SQL of its map of attributes.
    """
    return f"trim(BOTH '\"' FROM {attributes}['{SPAN_TYPE}'])"
