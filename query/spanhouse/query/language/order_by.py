"""Reader of ``order_by``. MLflow's rules: two tie-breakers at the end, missing values last in both directions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spanhouse.query.errors import FilterError
from spanhouse.query.language.names import REQUEST_ID, resolve_name
from spanhouse.query.language.parser import parse_name
from spanhouse.query.language.predicate import AttributeField, Field, MapColumn, MapField, SpanField
from spanhouse.schema.trace_attributes import ATTRIBUTES, Attribute, Type

_DIRECTED: Final = re.compile(r"\s*(?P<key>.*?)(?:\s+(?P<direction>ASC|DESC))?\s*\Z", re.IGNORECASE | re.DOTALL)
_NULLS: Final = re.compile(r"\sNULLS\s+(FIRST|LAST)\s*\Z", re.IGNORECASE)

EXPERIMENT: Final = AttributeField(Attribute(name="experiment_id", sql="ServiceName", type=Type.TEXT))
"""An MLflow experiment is a service."""
_TIMESTAMP: Final = AttributeField(ATTRIBUTES["timestamp_ms"])
_NOT_SORTABLE: Final = (
    AttributeField(ATTRIBUTES["client_request_id"]),
    MapField(MapColumn.METADATA, "mlflow.trace.tokenUsage"),
    MapField(MapColumn.METADATA, "mlflow.trace.cost"),
)


@dataclass(frozen=True, slots=True)
class Sorting:
    """One key of the order."""

    field: Field
    descending: bool


def read_order(order_by: Sequence[str] | None) -> tuple[Sorting, ...]:
    """Read an ``order_by`` list; each entry is ``KEY``, ``KEY ASC`` or ``KEY DESC``.

    Returns:
        The given keys, then ``timestamp_ms DESC`` and ``request_id ASC`` unless they are among them: a total order.

    Raises:
        FilterError: an unknown key, an unsortable key, or the same field twice.
    """
    if isinstance(order_by, str) or not isinstance(order_by, Sequence | None):
        raise FilterError("order_by is a list", hint='write ["timestamp_ms DESC"]')
    asked: list[Sorting] = []
    for entry in order_by or ():
        sorting = _sorting(entry)
        if any(_same(sorting.field, earlier.field) for earlier in asked):
            raise FilterError("order_by names the same field twice", entry, 0, len(entry), "name it once")
        asked.append(sorting)
    for tie_breaker in (Sorting(_TIMESTAMP, descending=True), Sorting(REQUEST_ID, descending=False)):
        if not any(_same(tie_breaker.field, sorting.field) for sorting in asked):
            asked.append(tie_breaker)
    return tuple(asked)


def newest_first(order: Sequence[Sorting]) -> bool:
    """Tell whether the order is by start, from the newest."""
    return order[0].descending and sorts_by_start(order[0])


def sorts_by_start(sorting: Sorting) -> bool:
    """Tell whether a key of the order is the trace's start."""
    return _same(sorting.field, _TIMESTAMP)


def _sorting(entry: str) -> Sorting:
    if not isinstance(entry, str):
        raise FilterError(f"an entry of order_by is a string, not {type(entry).__name__}")
    if nulls := _NULLS.search(entry):
        raise FilterError("the place of missing values is fixed", entry, nulls.start() + 1, len(entry), "they come last in both directions")
    directed = _DIRECTED.match(entry)
    if directed is None or not directed["key"]:
        raise FilterError("an entry of order_by is empty", hint='write "timestamp_ms DESC"')
    name = parse_name(directed["key"])
    field = EXPERIMENT if name.key == EXPERIMENT.attribute.name and name.entity in {None, "attribute", "attributes"} else resolve_name(name, entry)
    if isinstance(field, SpanField) or field in _NOT_SORTABLE or (isinstance(field, AttributeField) and field.attribute.many):
        raise FilterError(f"traces cannot be ordered by {directed['key']}", entry, *directed.span("key"))
    return Sorting(field, descending=(directed["direction"] or "").upper() == "DESC")


def _same(one: Field, other: Field) -> bool:
    """Tell whether two keys sort alike, as ``timestamp`` and ``timestamp_ms`` do."""
    if isinstance(one, AttributeField) and isinstance(other, AttributeField):
        return one.attribute.sql == other.attribute.sql
    return one == other
