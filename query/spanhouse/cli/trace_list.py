"""List of traces: cells of a table for people, fields for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import fields as dataclass_fields
from typing import Final

from rich.text import Text

from spanhouse.cli.output import Column, safe, show_table
from spanhouse.cli.text import brief_time, local_time, milliseconds
from spanhouse.query import ServicePart, Trace, TraceInfo
from spanhouse.schema.trace_attributes import TraceState
from spanhouse.schema.vocabulary import APP_VERSION, GIT_COMMIT, SOURCE_TYPE

_COLUMNS: Final = (
    Column(title="time", whole=True, style="dim"),
    Column(title="trace", whole=True),
    Column(title="name"),
    Column(title="service", spare=3),
    Column(title="state", whole=True),
    Column(title="duration", right=True, whole=True),
    Column(title="version"),
    Column(title="commit", whole=True, spare=1),
    Column(title="source type", spare=2),
)
_PART_COLUMNS: Final = (
    Column(title="time", whole=True, style="dim"),
    Column(title="trace", whole=True),
    Column(title="version"),
    Column(title="commit", whole=True),
    Column(title="environment", spare=2),
    Column(title="errors", right=True, whole=True),
    Column(title="self time", right=True, whole=True),
    Column(title="trace name", spare=1),
    Column(title="trace state", whole=True),
    Column(title="trace duration", right=True, spare=3),
)
FIELDS: Final = (*(field.name for field in dataclass_fields(TraceInfo)), "timestamp_ms", "execution_time_ms", "status")
"""Names of ``Trace.info``, among them those that filters use."""
_STATE_STYLES: Final = {TraceState.OK: "green", TraceState.ERROR: "bold red", TraceState.IN_PROGRESS: "yellow"}
SHORT_COMMIT: Final = 7
"""Digits of a commit that are shown where the whole has no room, as git does."""


def show_traces(traces: Sequence[Trace], *, indent: int = 0, service: str = "") -> None:
    """Print a table with a line for each trace; of a service, with a line for each of its versions in the trace, beside the whole trace's values."""
    if service:
        parts = [(trace, part) for trace in traces for part in trace.info.services if part.name == service]
        show_table(_PART_COLUMNS, [_part_cells(trace, part) for trace, part in parts], indent=indent)
    else:
        show_table(_COLUMNS, [_cells(trace) for trace in traces], indent=indent)


def state(value: TraceState) -> Text:
    """Return a state in its colour."""
    return safe(value.value, _STATE_STYLES.get(value, ""))


def short_commit(trace: Trace) -> str:
    """Return the first digits of the commit that the trace ran; '' if unknown."""
    return trace.info.trace_metadata.get(GIT_COMMIT.mlflow, "")[:SHORT_COMMIT]


def _cells(trace: Trace) -> tuple[object, ...]:
    info = trace.info
    return (
        brief_time(info.timestamp_ms) if sys.stdout.isatty() else local_time(info.timestamp_ms),
        info.trace_id.removeprefix("tr-"),
        info.name,
        info.experiment_id,
        state(info.state),
        milliseconds(info.execution_time_ms),
        info.trace_metadata.get(APP_VERSION.mlflow, ""),
        short_commit(trace),
        info.trace_metadata.get(SOURCE_TYPE.mlflow, ""),
    )


def _part_cells(trace: Trace, part: ServicePart) -> tuple[object, ...]:
    info = trace.info
    return (
        *_cells(trace)[:2],
        part.version,
        part.commit[:SHORT_COMMIT],
        part.environment,
        part.errors,
        milliseconds(part.self_time_ns // 1_000_000),
        info.name,
        state(info.state),
        milliseconds(info.execution_time_ms),
    )


def fields(trace: Trace) -> dict[str, object]:
    """Return all that is known of a trace but its spans, by ``FIELDS``."""
    return {name: getattr(trace.info, name) for name in FIELDS} | {"services": [asdict(part) for part in trace.info.services]}
