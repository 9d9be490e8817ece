"""Search -> conditions that every matching trace fulfils and that cost little: by them the view merges few traces.

The view ``traces`` merges the parts of every trace that it is asked for, so a search first names the traces that can match at all,
from single rows of ``traces_parts``. That loses none: each value of a merged trace stands verbatim in one of its parts, and what comes
from the root (name, service, start, duration) stands in the same part. The exact condition is applied to the view as well, always.
"""
# ruff: noqa: S608  what is put together here are this module's own words and placeholders; tests hold that a user's are never among them

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spanhouse.query.ast import Operator
from spanhouse.query.conditions import test
from spanhouse.query.predicate import AttributeField, Compare, MapColumn, MapField, OneOf, Value
from spanhouse.query.search import EARLIEST_NS, LATEST_NS, Search
from spanhouse.query.statement import Parameters
from spanhouse.schema.trace_attributes import TraceState
from spanhouse.schema.vocabulary import APP_VERSION, GIT_COMMIT, MODEL_ID, PROCESS_KEYS, TRACE_NAME_TAG

_HOUR_NS: Final = 3_600_000_000_000
_LOOKS: Final = 3
"""Conditions on parts that are looked for; each further one costs a look and leaves out little."""
_SELECTIVE: Final = frozenset({GIT_COMMIT.mlflow, APP_VERSION.mlflow, MODEL_ID.mlflow})
_COMMON: Final = frozenset(name for key in PROCESS_KEYS for name in (key.mlflow, *key.aliases)) - _SELECTIVE
"""Keys with few values, each of many traces."""


def necessary(search: Search, parameters: Parameters, *, newest_parts: int | None, since_ns: int) -> Iterator[str]:
    """Conditions on TraceId and Timestamp of ``traces``; ``newest_parts`` and ``since_ns`` as in ``compile_``."""
    for ids in trace_ids(search):
        yield f"TraceId IN {parameters.add(ids, 'Array(String)')}"
    earliest_ns, latest_ns = search.start_bounds_ns()
    root = [*_root_conditions(search, parameters), *_times(earliest_ns, latest_ns, parameters)]
    if newest_parts is not None:
        recent = " AND ".join(_times(max(earliest_ns, since_ns), latest_ns, parameters))
        newest = f"SELECT Timestamp FROM traces_parts WHERE {recent} ORDER BY Timestamp DESC LIMIT {parameters.add(newest_parts, 'UInt64')}"
        # Whole milliseconds, as the order has them: of those that start in the last one, none may be left out.
        oldest = f"(SELECT fromUnixTimestamp64Milli(toUnixTimestamp64Milli(min(Timestamp))) FROM ({newest}))"
        yield f"Timestamp >= {oldest}"
        root.append(f"Timestamp >= {oldest}")
    if root:
        yield f"TraceId IN (SELECT TraceId FROM traces_parts WHERE {' AND '.join(root)})"
    # With few parts left, a look through all of the maps would cost more than it saves.
    if newest_parts is None and (conditions := _part_conditions(search, parameters)):
        # Each look goes only where the one inside it found something, so the condition that most traces fail is the innermost.
        found = ""
        for condition in conditions[:_LOOKS]:
            found = f"SELECT TraceId FROM traces_parts WHERE ({condition}){f' AND TraceId IN ({found})' if found else ''}"
        yield f"TraceId IN ({found})"


def _times(earliest_ns: int, latest_ns: int, parameters: Parameters) -> Iterator[str]:
    """Conditions on the root's part for a trace that starts in between, both inclusive.

    A part's Timestamp is at or after its Start, and in the same hour; the table is sorted by the hour of Timestamp.
    """
    if earliest_ns > EARLIEST_NS:
        yield f"Timestamp >= {parameters.nanoseconds(earliest_ns)}"
    if latest_ns < LATEST_NS:
        yield f"Start <= {parameters.nanoseconds(latest_ns)}"
        yield f"Timestamp <= {parameters.nanoseconds(min(latest_ns + _HOUR_NS, LATEST_NS))}"


def _root_conditions(search: Search, parameters: Parameters) -> Iterator[str]:
    """Conditions that the part of a matching trace's root fulfils, all on the same part."""
    if search.services is not None:
        yield f"ServiceName IN {parameters.add(search.services, 'Array(String)')}"
    for clause in _narrowing(search):
        match clause.field:
            case AttributeField(attribute=attribute) if attribute.name == "name":
                yield test(clause, "Name", parameters)
            case MapField(column=MapColumn.TAGS, key=key) if key == TRACE_NAME_TAG:
                yield test(clause, "Name", parameters)
            case AttributeField(attribute=attribute) if attribute.name in {"execution_time", "execution_time_ms"}:
                yield test(clause, "intDiv(Duration, 1000000)", parameters)
            case _:
                pass


def _part_conditions(search: Search, parameters: Parameters) -> list[str]:
    """Conditions of which each is fulfilled by some part of a matching trace, not all by the same; what few pass first."""
    found: dict[str, int] = {}
    for clause in _narrowing(search):
        listed = bool(_values(clause))
        match clause.field:
            case MapField(column=MapColumn.METADATA, key=key):
                name = parameters.text(key)
                condition = " OR ".join(_in_part(clause, column, name, parameters) for column in ("ProcessMetadata", "TraceMetadata"))
                found[condition] = (2 if key in _COMMON else 0) + (not listed)
            case MapField(column=MapColumn.TAGS, key=key) if key != TRACE_NAME_TAG:
                found[_in_part(clause, "Tags", parameters.text(key), parameters)] = 1 + (not listed)
            case AttributeField(attribute=attribute) if attribute.name == "client_request_id":
                found[test(clause, "ClientRequestId", parameters)] = 0
            case AttributeField(attribute=attribute) if attribute.name == "status" and _values(clause) == {TraceState.ERROR}:
                found["StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR State = 'ERROR'"] = 1
            case _:
                pass
    return sorted(found, key=found.__getitem__)


def _in_part(clause: Compare | OneOf, column: str, key: str, parameters: Parameters) -> str:
    """The condition that a part's map holds a value that passes; a key that is not there reads as ''."""
    tested = test(clause, f"{column}[{key}]", parameters)
    values = _values(clause)
    return tested if values and "" not in values else f"(mapContains({column}, {key}) AND {tested})"


def trace_ids(search: Search) -> Iterator[tuple[str, ...]]:
    """Lists of bare trace ids of which each holds all traces that can match."""
    for clause in _narrowing(search):
        if isinstance(clause.field, AttributeField) and clause.field.attribute.name == "request_id" and (values := _values(clause)):
            yield tuple(sorted(str(value).removeprefix("tr-") for value in values))


def _values(clause: Compare | OneOf) -> set[Value]:
    """The values that a clause allows; empty if they are not listed."""
    if isinstance(clause, OneOf):
        return set(clause.values)
    return {clause.value} if clause.operator is Operator.EQUAL else set()


def _narrowing(search: Search) -> Iterator[Compare | OneOf]:
    """Clauses worth looking for in the parts: those that a minority of values passes."""
    for clause in search.clauses:
        match clause:
            case Compare(operator=operator) if operator is not Operator.NOT_EQUAL:
                yield clause
            case OneOf(negated=False):
                yield clause
            case _:
                pass
