"""Traces as a search gives them, under MLflow's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spanhouse.schema.trace_attributes import TraceState
from spanhouse.schema.vocabulary import SPAN_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePart:
    """A part that a version of a service took in a trace.

    Attributes:
        name: of the service.
        version, commit, branch, environment: of its process; '' where that is not known.
        spans: its spans.
        errors: those that failed.
        self_time_ns: time of its spans in which none of their children ran.
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
    """What is known of a trace as a whole.

    Attributes:
        trace_id: ``tr-`` and 32 hex digits.
        name: name of the root span; '' if no span of the trace came yet that can be the root.
        experiment_id: name of the service that the trace began in; an MLflow experiment is a service.
        request_time: when the trace began, Unix time in ms.
        execution_duration: how long its root took, in whole ms; None if no root is stored.
        state: how it ended.
        trace_metadata: the trace's effective metadata: its process's, and over it what was set for this trace.
        tags: its tags.
        client_request_id, request_preview, response_preview: what the application set; None if it did not.
        span_count, error_count: number of spans stored, and of those that failed.
        input_tokens, output_tokens: of its spans, each counted once; None if none reports any.
        cost: of its spans in USD, counted likewise; None if none has one.
        root_span_id: 16 hex digits; None if no root is stored.
        unfinished: True if the trace has been quiet for a while and its root never came: its process crashed, or was killed.
        services: the part that each version of each service took; of a trace that was read by its id, or searched for by a service, else empty.
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
    """Something that happened in a span.

    Attributes:
        time_ns: when, Unix time in ns.
    """

    name: str
    time_ns: int
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Another span that a span refers to; ids are bare hex."""

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
        parent_id: the parent's; None for a span without one.
        start_time_ns, end_time_ns: Unix time in ns.
        status: ``OK``, ``ERROR`` or ``UNSET``.
        kind: as OTel names it, such as ``Server``.
        attributes: text as stored; what MLflow's own tracer writes as JSON is decoded.
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
    """A trace's spans, by their start; read when they are first asked for, unless the search read them."""

    __slots__ = ("_read", "_spans")

    def __init__(self, spans: Sequence[Span] | None = None, *, read: Callable[[], Sequence[Span]] | None = None) -> None:
        self._spans = None if spans is None else tuple(spans)
        self._read = read

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans by their start, each once."""
        if self._spans is None:
            self._spans = tuple(self._read()) if self._read else ()
            self._read = None
        return self._spans

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TraceData) and self.spans == other.spans

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[TraceData], tuple[tuple[Span, ...]]]:
        # A copy, in another process perhaps, cannot read from this one's store.
        return (TraceData, (self.spans,))

    def __repr__(self) -> str:
        return f"TraceData(spans={'not read yet' if self._spans is None else self._spans!r})"


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace: what is known of it as a whole, and its spans."""

    info: TraceInfo
    data: TraceData
