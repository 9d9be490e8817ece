"""Reference merge: the row of ``traces`` that the spans of one trace come to, in plain Python, by the rules of docs/tables.md.

It shares no code with the SQL. A span may be stored several times, with the same or with other content: each of these is a copy.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.expected import text

ALIASES: Final = {
    "mlflow.source.type": ("deployment.environment.name", "deployment.environment"),
    "mlflow.source.git.commit": ("vcs.ref.head.revision", "vcs.repository.ref.revision"),
    "mlflow.source.git.branch": ("vcs.ref.head.name", "vcs.repository.ref.name"),
    "mlflow.source.git.repoURL": ("vcs.repository.url.full",),
    "app_version": ("service.version",),
}
PROCESS_KEYS: Final = {*ALIASES, *(alias for names in ALIASES.values() for alias in names)} | {
    "mlflow.source.name",
    "mlflow.source.git.dirty",
    "mlflow.modelId",
    "mlflow.user",
}
DETECTED: Final = {"LOCAL", "NOTEBOOK", "JOB"}
STATES: Final = {"OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED"}
METADATA: Final = "mlflow.traceMetadata."
TAG: Final = "mlflow.traceTag."
REMOTE: Final = 0x300
KNOWN: Final = 0x100
NO_ROOT: Final = 3
_NOT_FILLED: Final[Mapping[str, Any]] = {
    "CachedTokens": None,
    "ReasoningTokens": None,
    "PriceVersion": "",
    "Models": [],
    "SpanTypes": [],
    "ErrorTypes": [],
    "ErrorMessage": "",
    "ErrorFingerprint": 0,
    "FinishReasons": [],
    "Tools": [],
    "Prompts": [],
    "NameTemplate": "",
}
"""Columns that nothing fills yet."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One stored copy of a span; ``parent`` is '' for a span without parent and for one that is its own."""

    span_id: str
    parent: str
    name: str
    start: int
    duration: int
    error: bool
    flags: int
    attributes: Mapping[str, str]
    resource: Mapping[str, str]

    @classmethod
    def of(cls, span: Span, resource: Mapping[str, Any]) -> Copy:
        """Return the copy that a span of a request is stored as."""
        parent = "" if span.parent_span_id in {span.span_id, bytes(8)} else span.parent_span_id.hex()
        return cls(
            span_id=span.span_id.hex(),
            parent=parent,
            name=span.name,
            start=span.start_time_unix_nano,
            duration=max(0, span.end_time_unix_nano - span.start_time_unix_nano),
            error=span.status.code == 2,
            flags=span.flags,
            attributes={attribute.key: text(attribute.value) for attribute in span.attributes},
            resource=resource,
        )

    @property
    def owner(self) -> tuple[str, str, str, str, str]:
        """The service and version that the span belongs to: of its process, whatever the span's own attributes say."""
        process = effective(self.resource)
        keys = ("service.name", "app_version", "mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.type")
        name, version, commit, branch, environment = (process.get(key, "") for key in keys)
        return name, version, commit, branch, environment

    @property
    def stamped(self) -> bool:
        """True if the process says where it comes from."""
        process = effective(self.resource)
        return bool(process.get("mlflow.source.git.commit") or process.get("mlflow.source.name"))


@dataclass(frozen=True, slots=True)
class Edit:
    """A tag that was set, or deleted if ``value`` is None."""

    at: int
    key: str
    value: str | None


def effective(process: Mapping[str, str]) -> dict[str, str]:
    """Return process metadata with each alias under its MLflow key; an environment that somebody named beats a detected one."""
    found = dict(process)
    for key, aliases in ALIASES.items():
        values = [value for name in (key, *aliases) if (value := process.get(name, ""))]
        if key == "mlflow.source.type":
            values = [value for value in values if value not in DETECTED] or values
        if values:
            found[key] = values[0]
    return found


def merge(copies: Sequence[Copy], edits: Sequence[Edit] = (), *, large: bool = False) -> dict[str, Any]:
    """Return the row of a trace, all columns but its id; ``Timestamp`` in Unix nanoseconds.

    Args:
        copies: of its spans.
        edits: of its tags.
        large: whether it counts as one with very many spans.
    """
    counted = list(_counted(copies).values())
    rank, root = _root(copies)
    said = _said(copies, root if rank < NO_ROOT else None)
    metadata = _metadata(copies, rank, root, said)
    name = root.name if rank < NO_ROOT else ""
    tags = _below(TAG, said) | ({"mlflow.traceName": name} if name else {})
    cost = _once(counted, "gen_ai.usage.cost", large)
    return {
        "Timestamp": root.start,
        "Duration": root.duration if rank < NO_ROOT else 0,
        "Name": name,
        "ServiceName": root.resource.get("service.name", ""),
        "State": _state(rank, root, said),
        "SpanCount": len(counted),
        "ErrorCount": sum(one.error for one in counted),
        "SessionId": metadata.get("mlflow.trace.session", ""),
        "UserId": metadata.get("mlflow.trace.user", ""),
        "ModelId": metadata.get("mlflow.modelId", ""),
        "SourceType": metadata.get("mlflow.source.type", ""),
        "AppVersion": metadata.get("app_version", ""),
        "GitCommit": metadata.get("mlflow.source.git.commit", ""),
        "GitBranch": metadata.get("mlflow.source.git.branch", ""),
        "GitDirty": metadata.get("mlflow.source.git.dirty", ""),
        "ClientRequestId": said.get("mlflow.traceClientRequestId", ""),
        "RequestPreview": said.get("mlflow.traceRequestPreview", ""),
        "ResponsePreview": said.get("mlflow.traceResponsePreview", ""),
        "InputTokens": _whole(_once(counted, "gen_ai.usage.input_tokens", large)),
        "OutputTokens": _whole(_once(counted, "gen_ai.usage.output_tokens", large)),
        "Cost": cost,
        "CostSource": "" if cost is None else "sent",
        "Metadata": metadata,
        "Tags": _edited(tags, edits),
        "RootSpanId": root.span_id if rank < NO_ROOT else "",
        "Before": root.start - min(one.start for one in copies),
        "After": max(one.start for one in copies) - root.start,
        **_services(counted),
        **_NOT_FILLED,
    }


def _counted(copies: Sequence[Copy]) -> dict[str, Copy]:
    """Return the copy of each span that counts: a stamped one before one that is not, then the greater."""
    best: dict[str, Copy] = {}
    for one in sorted(copies, key=lambda copy: (copy.stamped, copy.start, copy.duration, copy.error)):
        best[one.span_id] = one
    return best


def _root(copies: Sequence[Copy]) -> tuple[int, Copy]:
    """Return the root and its rank; of a trace without root the earliest span and NO_ROOT."""
    stored = {one.span_id for one in copies}

    def rank(one: Copy) -> int:
        if not one.parent:
            return 0
        if one.flags & REMOTE == REMOTE:
            return 1
        return 2 if not one.flags & KNOWN and one.parent not in stored else NO_ROOT

    first = min(copies, key=lambda one: (rank(one), one.start, one.span_id, not one.stamped, one.owner, list(one.resource.items()), -one.duration))
    return rank(first), first


def _said(copies: Sequence[Copy], root: Copy | None) -> dict[str, str]:
    """Return what spans say of their trace: the root's word counts, then the later start's, then the greater id's."""
    said: dict[str, str] = {}
    root_id = root.span_id if root else None
    for one in sorted(copies, key=lambda copy: (copy.span_id == root_id, copy.start, copy.span_id, sorted(_of_trace(copy).items()))):
        said |= {key: value for key, value in _of_trace(one).items() if value or key.startswith((METADATA, TAG))}
    return said


def _of_trace(one: Copy) -> dict[str, str]:
    return {key: value for key, value in one.attributes.items() if key.startswith("mlflow.trace")}


def _below(prefix: str, said: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in said.items() if key.startswith(prefix)}


def _metadata(copies: Sequence[Copy], rank: int, root: Copy, said: Mapping[str, str]) -> dict[str, str]:
    own = {key: value for key, value in root.attributes.items() if key in PROCESS_KEYS}
    metadata = effective({**root.resource, **own})
    for key, names in (
        ("mlflow.trace.session", ("session.id", "gen_ai.conversation.id")),
        ("mlflow.trace.user", ("user.id", "enduser.id")),
    ):
        named = [(one.start, one.span_id, value) for one in copies if (value := _first(one, names))]
        value = (_first(root, names) if rank < NO_ROOT else "") or max(named, default=(0, "", ""))[2]
        if value:
            metadata[key] = value
    return metadata | _below(METADATA, said)


def _first(one: Copy, names: Sequence[str]) -> str:
    return next((value for name in names if (value := one.attributes.get(name, ""))), "")


def _state(rank: int, root: Copy, said: Mapping[str, str]) -> str:
    set_state = said.get("mlflow.traceState", "")
    if set_state in STATES:
        return set_state
    if rank == NO_ROOT:
        return "IN_PROGRESS"
    return "ERROR" if root.error else "OK"


def _number(one: Copy, key: str) -> float | None:
    """Return the number that a span reports: None unless it is a number, finite, not negative and below 10**18."""
    try:
        number = float(one.attributes.get(key, ""))
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number < 10**18 else None


def _once(counted: Sequence[Copy], key: str, large: bool) -> float | None:
    """Return the sum of a number over a trace: each span adds what its nearest descendants that report the number do not account for.

    Of a large trace only children count for such descendants.
    """
    children = defaultdict(list)
    for one in counted:
        children[one.parent].append(one)
    numbers = {one.span_id: _number(one, key) for one in counted}

    def below(span_id: str) -> Iterator[float]:
        """Give the numbers of the nearest descendants that report. Of a circle a span is its own descendant, once."""
        silent, seen = [span_id], set[str]()
        while silent:
            for child in children[silent.pop()]:
                number = numbers[child.span_id]
                if number is not None:
                    yield number
                elif child.span_id not in seen and not large:
                    seen.add(child.span_id)
                    silent.append(child.span_id)

    reported = [max(0.0, number - sum(below(span_id))) for span_id, number in numbers.items() if number is not None]
    return sum(reported) if reported else None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _services(counted: Sequence[Copy]) -> dict[str, list[Any]]:
    """Return the columns of Services: each service and version that took part, with its spans, errors and self time."""
    of_children: dict[str, int] = defaultdict(int)
    for one in counted:
        of_children[one.parent] += one.duration
    parts: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in counted:
        facts = parts[one.owner]
        facts[0] += 1
        facts[1] += one.error
        facts[2] += max(0, one.duration - of_children[one.span_id])
    rows = [(*owner, *facts) for owner, facts in sorted(parts.items())]
    names = ("Name", "Version", "Commit", "Branch", "Environment", "Spans", "Errors", "SelfTime")
    return {f"Services.{name}": [row[place] for row in rows] for place, name in enumerate(names)}


def _edited(tags: Mapping[str, str], edits: Sequence[Edit]) -> dict[str, str]:
    found: dict[str, str | None] = dict(tags)
    for edit in sorted(edits, key=lambda edit: edit.at):
        found[edit.key] = edit.value
    return {key: value for key, value in found.items() if value is not None}
