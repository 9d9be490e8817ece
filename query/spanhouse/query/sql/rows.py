"""Conversion of rows to models. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from spanhouse.query.models import Event, Link, ServicePart, Span, TraceInfo
from spanhouse.query.sql.resolved_search import Key
from spanhouse.query.sql.selects import COLUMNS, FIRST_SPAN_NS, LAST_SPAN_NS, ROWS
from spanhouse.query.sql.statement import Parameters, Statement
from spanhouse.schema.trace_attributes import MLFLOW_JSON_KEYS, MLFLOW_REQUEST_ID, SENT_AS_TEXT, TraceState
from spanhouse.schema.vocabulary import GIT_COMMIT, SOURCE_NAME

Row = Sequence[Any]

_STATUS: Final[Mapping[str, str]] = {"Ok": "OK", "STATUS_CODE_OK": "OK", "Error": "ERROR", "STATUS_CODE_ERROR": "ERROR"}

_SPAN_COLUMNS: Final = """SELECT TraceId, SpanId, ParentSpanId, SpanName, toUnixTimestamp64Nano(Timestamp), toInt64(Duration), StatusCode,
    StatusMessage, SpanKind, ServiceName, ScopeName, ScopeVersion, SpanAttributes, ResourceAttributes,
    Events.Name, arrayMap(time -> toUnixTimestamp64Nano(time), Events.Timestamp), Events.Attributes,
    Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes
FROM otel_traces"""
_TIMES: Final = (
    f"(SELECT (fromUnixTimestamp64Nano(min({FIRST_SPAN_NS})), fromUnixTimestamp64Nano(max({LAST_SPAN_NS}))) FROM {ROWS} "  # noqa: S608  our own words
    "WHERE TraceId IN {ids} AND NOT Gone)"
)
_SPANS: Final = """WITH {times} AS times
{columns}
WHERE TraceId IN {ids} AND Timestamp BETWEEN times.1 AND times.2"""
_STAMPS: Final = frozenset({*GIT_COMMIT.names, *SOURCE_NAME.names})
"""Keys of a stamped span: of two copies of a span the stamped one counts."""


def compile_spans(trace_ids: Sequence[str], times_ns: tuple[int, int] | None = None) -> Statement:
    """Compile the statement that reads all spans of traces, given as bare ids.

    Args:
        trace_ids: bare ids of the traces.
        times_ns: first and last start of their spans, in Unix nanoseconds, both inclusive; None to look it up.
    """
    parameters = Parameters()
    ids = parameters.add(tuple(trace_ids), "Array(String)")
    times = _TIMES.format(ids=ids) if times_ns is None else f"({', '.join(map(parameters.nanoseconds, times_ns))})"
    return Statement(_SPANS.format(times=times, columns=_SPAN_COLUMNS, ids=ids), parameters.bound())


def read_info(row: Row) -> TraceInfo:
    """Read the trace in a row of ``compile_search``."""
    values = dict(zip(COLUMN_NAMES, row, strict=False))
    whole = values["RootSpanId"] != ""
    return TraceInfo(
        trace_id=f"tr-{values['TraceId']}",
        name=values["Name"],
        experiment_id=values["ServiceName"],
        request_time=values["StartNs"] // 1_000_000,
        execution_duration=values["Duration"] // 1_000_000 if whole else None,
        state=TraceState(values["State"]),
        trace_metadata=dict(values["Metadata"]),
        tags=dict(values["Tags"]),
        client_request_id=values["ClientRequestId"] or None,
        request_preview=values["RequestPreview"] or None,
        response_preview=values["ResponsePreview"] or None,
        span_count=values["SpanCount"],
        error_count=values["ErrorCount"],
        input_tokens=values["InputTokens"],
        output_tokens=values["OutputTokens"],
        cost=values["Cost"],
        root_span_id=values["RootSpanId"] or None,
        unfinished=bool(values["Unfinished"]),
        services=tuple(ServicePart(**dict(zip(_PART, part, strict=True))) for part in values["Took"]),
    )


_PART: Final = ("name", "version", "commit", "branch", "environment", "spans", "errors", "self_time_ns")
COLUMN_NAMES: Final = tuple(column.rpartition(" ")[2] for column in COLUMNS)


def read_keys(row: Row) -> tuple[Key, ...]:
    """Return the order keys of a row of ``compile_search``."""
    return tuple(row[len(COLUMNS) :])


def read_spans(rows: Iterable[Row]) -> dict[str, list[Span]]:
    """Read the spans in rows of ``compile_spans``, by bare trace id: each trace's by their start, the root before spans with the same start.

    If a span is stored twice, the stamped copy counts, else the greater one, as in the trace's row.
    """
    traces: dict[str, dict[str, Span]] = {}
    for row in rows:
        span = _read_span(row)
        copies = traces.setdefault(row[0], {})
        copies[span.span_id] = max(copies.get(span.span_id, span), span, key=_weight)
    return {trace_id: sorted(spans.values(), key=_place) for trace_id, spans in traces.items()}


def _weight(span: Span) -> tuple[bool, int, int, bool]:
    stamped = any(values.get(key) for values in (span.resource, span.attributes) for key in _STAMPS)
    return stamped, span.start_time_ns, span.end_time_ns - span.start_time_ns, span.status == "ERROR"


def _place(span: Span) -> tuple[int, bool, str]:
    return span.start_time_ns, span.parent_id is not None, span.span_id


def _read_span(row: Row) -> Span:
    trace_id, span_id, parent_id, name, start_ns, duration_ns, status, message, kind, service, scope, version, attributes, resource, *nested = row
    event_names, event_times, event_attributes, link_traces, link_spans, link_states, link_attributes = nested
    return Span(
        name=name,
        trace_id=f"tr-{trace_id}",
        span_id=span_id,
        parent_id=parent_id or None,
        start_time_ns=start_ns,
        end_time_ns=start_ns + duration_ns,
        status=_STATUS.get(status, "UNSET"),
        status_message=message,
        kind=kind,
        service_name=service,
        scope_name=scope,
        scope_version=version,
        attributes=decode_attributes(attributes),
        resource=dict(resource),
        events=tuple(
            Event(name=name, time_ns=time_ns, attributes=dict(values))
            for name, time_ns, values in zip(event_names, event_times, event_attributes, strict=True)
        ),
        links=tuple(
            Link(trace_id=trace, span_id=span, trace_state=state, attributes=dict(values))
            for trace, span, state, values in zip(link_traces, link_spans, link_states, link_attributes, strict=True)
        ),
    )


def decode_attributes(attributes: Mapping[str, str]) -> dict[str, Any]:
    """Decode the attributes that MLflow's tracer wrote as JSON. Text that is not JSON stays as it is."""
    by_mlflow = attributes.get(MLFLOW_REQUEST_ID, "").startswith('"')
    return {
        key: _decode(value) if (by_mlflow or key in MLFLOW_JSON_KEYS) and not key.startswith(SENT_AS_TEXT) else value
        for key, value in attributes.items()
    }


def _decode(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
