"""Queryable attributes of traces and spans: their types, states and SQL, for filters and sorting.

Separate from ``vocabulary``, which every instrumented application loads at start-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from spanhouse.schema.conventions import span_type_sql
from spanhouse.schema.vocabulary import GIT_BRANCH, GIT_COMMIT, GIT_DIRTY, MODEL_NAME, SESSION, TRACE_METADATA_PREFIX, TRACE_TAG_PREFIX, TRACE_USER


class Type(StrEnum):
    """Type of the values that a filter can compare."""

    TEXT = "text"
    TIME = "time"
    """Unix time in whole milliseconds."""
    DURATION = "duration"
    """A length of time in milliseconds."""
    NUMBER = "number"
    STATE = "state"
    """One of ``STATES``."""


class TraceState(StrEnum):
    """State of a trace. Compares equal to its name."""

    OK = "OK"
    ERROR = "ERROR"
    IN_PROGRESS = "IN_PROGRESS"
    STATE_UNSPECIFIED = "STATE_UNSPECIFIED"


class Attribute(NamedTuple):
    """An attribute of a trace, or of a span, in the filter language.

    Attributes:
        name: name that filters use.
        sql: expression of its value over columns of ``traces``, or of ``otel_traces``. NULL or '' for no value, see ``absent``.
        type: type of its values.
        absent: SQL literal that means "no value"; None if there always is one.
        many: True if the expression gives an array: a comparison holds if it holds for one of the elements.
    """

    name: str
    sql: str
    type: Type
    absent: str | None = None
    many: bool = False


_TIMESTAMP: Final = "toUnixTimestamp64Milli(Timestamp)"
_EXECUTION_TIME: Final = "if(RootSpanId = '', NULL, toInt64(intDiv(Duration, 1000000)))"
_END_TIME: Final = "if(RootSpanId = '', NULL, toUnixTimestamp64Milli(Timestamp) + toInt64(intDiv(Duration, 1000000)))"
_TOTAL_TOKENS: Final = "if(InputTokens IS NULL AND OutputTokens IS NULL, NULL, toInt64(ifNull(InputTokens, 0) + ifNull(OutputTokens, 0)))"

WAITING: Final = "Sorted = toDateTime64(0, 9, 'UTC')"
"""True for the row of a trace that waits for its root; all other rows are placed at their start."""
UNFINISHED: Final = f"(RootSpanId = '' AND NOT {WAITING})"
"""True for the row of a quiet trace whose root never came: its process crashed, or was killed."""

ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType(
    {
        attribute.name: attribute
        for attribute in (
            Attribute(name="timestamp", sql=_TIMESTAMP, type=Type.TIME),
            Attribute(name="timestamp_ms", sql=_TIMESTAMP, type=Type.TIME),
            Attribute(name="execution_time", sql=_EXECUTION_TIME, type=Type.DURATION, absent="NULL"),
            Attribute(name="execution_time_ms", sql=_EXECUTION_TIME, type=Type.DURATION, absent="NULL"),
            Attribute(name="end_time", sql=_END_TIME, type=Type.TIME, absent="NULL"),
            Attribute(name="end_time_ms", sql=_END_TIME, type=Type.TIME, absent="NULL"),
            Attribute(name="status", sql="State", type=Type.STATE),
            Attribute(name="name", sql="Name", type=Type.TEXT, absent="''"),
            Attribute(name="request_id", sql="concat('tr-', TraceId)", type=Type.TEXT),
            Attribute(name="client_request_id", sql="ClientRequestId", type=Type.TEXT, absent="''"),
            Attribute(name="tokens.total", sql=_TOTAL_TOKENS, type=Type.NUMBER, absent="NULL"),
            Attribute(name="tokens.input", sql="toInt64(InputTokens)", type=Type.NUMBER, absent="NULL"),
            Attribute(name="tokens.output", sql="toInt64(OutputTokens)", type=Type.NUMBER, absent="NULL"),
            Attribute(name="cost", sql="if(isFinite(Cost), Cost, NULL)", type=Type.NUMBER, absent="NULL"),
            Attribute(name="span.count", sql="toInt64(SpanCount)", type=Type.NUMBER),
            Attribute(name="model", sql="Models", type=Type.TEXT, many=True),
            Attribute(name="error.type", sql="ErrorTypes", type=Type.TEXT, many=True),
            Attribute(name="error.message", sql="ErrorMessage", type=Type.TEXT, absent="''"),
            Attribute(name="unfinished", sql=f"if({UNFINISHED}, 'true', 'false')", type=Type.TEXT),
        )
    }
)
"""Names used alone in a filter, or after ``attribute.``, ``attributes.`` or ``trace.``."""

SHORT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "run_id": "mlflow.sourceRun",
        "session": SESSION,
        "user": TRACE_USER,
        "model.name": MODEL_NAME,
        "git.commit": GIT_COMMIT.mlflow,
        "git.branch": GIT_BRANCH.mlflow,
        "git.dirty": GIT_DIRTY.mlflow,
    }
)
"""Short name, also used alone -> metadata key."""

_CONTENT: Final = (
    "arrayStringConcat(arrayConcat([CAST(SpanName, 'String'), StatusMessage], CAST(mapKeys(SpanAttributes), 'Array(String)'), "
    "mapValues(SpanAttributes), CAST(Events.Name, 'Array(String)'), "
    "arrayFlatten(arrayMap(m -> arrayConcat(CAST(mapKeys(m), 'Array(String)'), mapValues(m)), Events.Attributes))), '\\n')"
)


def _of_exceptions(key: str) -> str:
    return f"arrayFilter(said -> said != '', arrayMap(event -> event['{key}'], Events.Attributes))"


SPAN_ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType(
    {
        attribute.name: attribute
        for attribute in (
            Attribute(name="name", sql="SpanName", type=Type.TEXT),
            Attribute(
                name="status",
                sql="multiIf(StatusCode IN ('Ok', 'STATUS_CODE_OK'), 'OK', StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR', 'UNSET')",
                type=Type.STATE,
            ),
            Attribute(name="kind", sql="initcap(replaceOne(SpanKind, 'SPAN_KIND_', ''))", type=Type.TEXT, absent="''"),
            Attribute(name="duration_ms", sql="(Duration / 1000000)", type=Type.DURATION),
            Attribute(name="content", sql=_CONTENT, type=Type.TEXT),
            Attribute(name="type", sql=span_type_sql("SpanAttributes"), type=Type.TEXT, absent="''"),
            Attribute(name="exception.type", sql=_of_exceptions("exception.type"), type=Type.TEXT, many=True),
            Attribute(name="exception.message", sql=_of_exceptions("exception.message"), type=Type.TEXT, many=True),
        )
    }
)
"""Names used after ``span.``, besides ``attributes.KEY``. ``content`` has, a line each, the span's name, its status message, the keys and values of
its attributes, and names, keys and values of its events."""

FIRST_TOKEN_SECONDS: Final = (
    "gen_ai.response.time_to_first_chunk",  # OTel's conventions for generative AI
    "gen_ai.response.time_to_first_token",  # Sentry
    "gen_ai.server.time_to_first_token",  # OpenLIT, after OTel's metric of that name
    "gen_ai.latency.time_to_first_token",  # vLLM
)
"""Span attributes with the time to the first token of a streamed answer, in seconds from the span's start; the first one present counts."""
FIRST_TOKEN_MS: Final = ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")
"""Span attributes with the time to the first token in milliseconds: Vercel's AI SDK, now and before."""
FIRST_TOKEN_EVENTS: Final = (
    "First Token Stream Event",  # OpenInference
    "gen_ai.content.completion.chunk",  # OpenLLMetry, with each chunk
    "llm.content.completion.chunk",  # OpenLLMetry, before
    "ai.stream.firstChunk",  # Vercel's AI SDK
)
"""Span events for the first token: the first such event counts, if no attribute has the time."""


def _first_token() -> Attribute:
    keys = [f"'{key}'" for key in (*FIRST_TOKEN_SECONDS, *FIRST_TOKEN_MS)]
    said = [f"toFloat64OrNull(SpanAttributes['{key}']) * 1000" for key in FIRST_TOKEN_SECONDS]
    said += [f"toFloat64OrNull(SpanAttributes['{key}'])" for key in FIRST_TOKEN_MS]
    came = f"arrayFirstIndex(event -> event IN ({', '.join(repr(name) for name in FIRST_TOKEN_EVENTS)}), Events.Name)"
    after = f"if({came} = 0, NULL, (toUnixTimestamp64Nano(Events.Timestamp[{came}]) - toUnixTimestamp64Nano(Timestamp)) / 1000000)"
    attribute = f"if(hasAny(mapKeys(SpanAttributes), [{', '.join(keys)}]), coalesce({', '.join(said)}), NULL)"
    return Attribute(name="first-token", sql=f"coalesce({attribute}, {after})", type=Type.DURATION, absent="NULL")


FIRST_TOKEN: Final = _first_token()
"""Time to the first token of a streamed answer, in ms, for a row of ``otel_traces``."""

LINKED_PROMPTS: Final = "mlflow.linkedPrompts"
"""Span attribute and tag of MLflow with the versions of used prompts: a JSON list of ``{"name": "N", "version": "V"}``."""
MLFLOW_REQUEST_ID: Final = "mlflow.traceRequestId"
"""Attribute that MLflow's tracer puts on every span, as JSON. The other attributes of such a span are JSON, too, except those sent as text."""
SENT_AS_TEXT: Final = (TRACE_TAG_PREFIX, TRACE_METADATA_PREFIX)
MLFLOW_JSON_KEYS: Final = frozenset(
    {
        "mlflow.traceRequestId",
        "mlflow.spanType",
        "mlflow.spanInputs",
        "mlflow.spanOutputs",
        "mlflow.spanFunctionName",
        "mlflow.spanLogLevel",
        "mlflow.chat.tokenUsage",
        "mlflow.chat.tools",
        "mlflow.llm.model",
        "mlflow.llm.provider",
        "mlflow.llm.cost",
        "mlflow.message.format",
        "mlflow.experimentId",
        LINKED_PROMPTS,
    }
)
"""Keys that MLflow's tracer writes, always as JSON."""
