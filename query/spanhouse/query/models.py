"""Models of traces and spans, under MLflow's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spanhouse.schema.trace_attributes import TraceState
from spanhouse.schema.vocabulary import SPAN_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePart:
    """Part of one version of a service in a trace.

    Attributes:
        name: name of the service.
        version, commit, branch, environment: metadata of its process; '' if unknown.
        spans: number of its spans.
        errors: number of its spans that failed.
        self_time_ns: time of its spans while none of their children ran.
    """

    name: str
    version: str
    commit: str
    branch: str
    environment: str
    spans: int
    errors: int
    self_time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceInfo:
    """Row of a trace.

    Attributes:
        trace_id: ``tr-`` and 32 hex digits.
        name: name of the root span; '' if no possible root span is stored yet.
        experiment_id: name of the service that the trace began in; an MLflow experiment is a service.
        request_time: start of the trace, Unix time in ms.
        execution_duration: duration of the root, in whole ms; None if no root is stored.
        state: state of the trace.
        trace_metadata: effective metadata: the process's, overridden by metadata set for this trace.
        tags: tags of the trace.
        client_request_id, request_preview, response_preview: values that the application set; None if it did not.
        span_count, error_count: number of stored spans, and of failed ones.
        input_tokens, output_tokens: tokens of its spans, each counted once; None if no span reports any.
        cost: cost of its spans in USD, each counted once; None if no span has one.
        root_span_id: 16 hex digits; None if no root is stored.
        unfinished: True if the trace is quiet and its root never came: its process crashed, or was killed.
        services: part of each version of each service; filled if the trace was read by its id or searched by a service, else empty.
    """

    trace_id: str
    name: str
    experiment_id: str
    request_time: int
    execution_duration: int | None
    state: TraceState
    trace_metadata: dict[str, str]
    tags: dict[str, str]
    client_request_id: str | None
    request_preview: str | None
    response_preview: str | None
    span_count: int
    error_count: int
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    root_span_id: str | None
    unfinished: bool = False
    services: tuple[ServicePart, ...] = ()

    @property
    def request_id(self) -> str:
        """``trace_id`` under MLflow's older name."""
        return self.trace_id

    @property
    def timestamp_ms(self) -> int:
        """``request_time`` under MLflow's older name."""
        return self.request_time

    @property
    def execution_time_ms(self) -> int | None:
        """``execution_duration`` under MLflow's older name."""
        return self.execution_duration

    @property
    def status(self) -> TraceState:
        """``state`` under MLflow's older name."""
        return self.state

    @property
    def request_metadata(self) -> dict[str, str]:
        """``trace_metadata`` under MLflow's older name."""
        return self.trace_metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a span.

    Attributes:
        time_ns: Unix time in ns.
    """

    name: str
    time_ns: int
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A reference from a span to another span; ids are bare hex."""

    trace_id: str
    span_id: str
    trace_state: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span.

    Attributes:
        trace_id: ``tr-`` and 32 hex digits.
        span_id: 16 hex digits.
        parent_id: id of the parent; None for a span without one.
        start_time_ns, end_time_ns: Unix time in ns.
        status: ``OK``, ``ERROR`` or ``UNSET``.
        kind: OTel's name of the kind, such as ``Server``.
        attributes: text as stored; JSON from MLflow's own tracer is decoded.
        resource: attributes of the process.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_time_ns: int
    end_time_ns: int
    status: str
    status_message: str
    kind: str
    service_name: str
    scope_name: str
    scope_version: str
    attributes: dict[str, Any]
    resource: dict[str, str]
    events: tuple[Event, ...]
    links: tuple[Link, ...]

    @property
    def span_type(self) -> str | None:
        """MLflow's type of the span, such as ``LLM``; None if it has none."""
        value = self.attributes.get(SPAN_TYPE)
        return value if isinstance(value, str) else None


class TraceData:
    """Spans of a trace, by their start; read at the first access, unless the search read them."""

    __slots__ = ("_read", "_spans")

    def __init__(self, spans: Sequence[Span] | None = None, *, read: Callable[[], Sequence[Span]] | None = None) -> None:
        self._spans = None if spans is None else tuple(spans)
        self._read = read

    @property
    def spans(self) -> tuple[Span, ...]:
        """Spans by their start, each once."""
        if self._spans is None:
            self._spans = tuple(self._read()) if self._read else ()
            self._read = None
        return self._spans

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TraceData) and self.spans == other.spans

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[TraceData], tuple[tuple[Span, ...]]]:
        # A copy may be in another process, which cannot read from this connection.
        return (TraceData, (self.spans,))

    def __repr__(self) -> str:
        return f"TraceData(spans={'not read yet' if self._spans is None else self._spans!r})"


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace: its row and its spans."""

    info: TraceInfo
    data: TraceData
