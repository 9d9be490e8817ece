"""Reference merge: the row of ``traces`` that the spans of one trace come to, in plain Python, by the rules of docs/tables.md and docs/conventions.

It shares no code with the SQL. A span may be stored several times, with the same or with other content: each of these is a copy.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.support import reference_words as words
from tests.support.reference_preview import preview
from tests.support.reference_span import Copy, effective, tags_of

REMOTE: Final = 0x300
KNOWN: Final = 0x100
NO_ROOT: Final = 3
SHOWN: Final = 1000
_NUMBERS: Final = re.compile("[0-9a-fA-F]*[0-9][0-9a-fA-F]*")
_ID: Final = re.compile("[0-9]+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Edit:
    """A tag that was set, or deleted if ``value`` is None."""

    at: int
    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """Words of a trace's spans about it.

    Attributes:
        fields: in MLflow's words.
        tools: metadata in the words of other tools.
    """

    fields: dict[str, str]
    tools: dict[str, str]


def merge(copies: Sequence[Copy], edits: Sequence[Edit] = (), *, large: bool = False) -> dict[str, Any]:
    """Return the row of a trace, all columns but its id; ``Timestamp`` in Unix nanoseconds.

    ``ErrorFingerprint`` is a text here: equal ones stand for equal hashes, '' for 0.

    Args:
        copies: of its spans.
        edits: of its tags.
        large: whether it counts as one with very many spans.
    """
    counted = list(_counted(copies).values())
    rank, first = _root(copies)
    root = first if rank < NO_ROOT else None
    said = _said(copies, root)
    metadata = _metadata(copies, root, first, said)
    name = root.name if root else ""
    return {
        "Timestamp": first.start,
        "Duration": root.duration if root else 0,
        "Name": name,
        "NameTemplate": "/".join("{id}" if _ID.fullmatch(segment) else segment for segment in name.split("/")),
        "ServiceName": effective(first.resource).get("service.name", ""),
        "State": _state(root, said.fields),
        "SpanCount": len(counted),
        **_of_metadata(metadata),
        "ClientRequestId": said.fields.get("mlflow.traceClientRequestId", ""),
        "RequestPreview": (said.fields.get("mlflow.traceRequestPreview", "") or _request(copies, root))[:SHOWN],
        "ResponsePreview": (said.fields.get("mlflow.traceResponsePreview", "") or _response(copies, root))[:SHOWN],
        **_numbers(counted, large),
        **_errors(copies, counted),
        "Models": _all(copies, lambda one: [one.value(words.MODEL).strip('"')] if one.value(words.MODEL) else []),
        "SpanTypes": _all(copies, Copy.types),
        "FinishReasons": _all(copies, Copy.finish_reasons),
        "Tools": _all(copies, Copy.tools),
        "Prompts": _all(copies, Copy.prompts),
        "Metadata": metadata,
        "Tags": _edited(tags_of(said.fields) | _below(words.TAG, said.fields) | ({"mlflow.traceName": name} if name else {}), edits),
        "RootSpanId": root.span_id if root else "",
        "Before": first.start - min(one.start for one in copies),
        "After": max(one.start for one in copies) - first.start,
        **_services(counted),
    }


def _counted(copies: Sequence[Copy]) -> dict[str, Copy]:
    """Return the copy of each span that counts: a stamped one before one that is not, then the greater."""
    best: dict[str, Copy] = {}
    for one in sorted(copies, key=lambda copy: (copy.stamped, copy.start, copy.duration, copy.error)):
        best[one.span_id] = one
    return best


def _root(copies: Sequence[Copy]) -> tuple[int, Copy]:
    """Return the root and its rank; of a trace without root the earliest span and NO_ROOT. Of a circle of parents the earliest span is the root."""
    stored = {one.span_id for one in copies}

    def rank(one: Copy) -> int:
        if not one.parent:
            return 0
        if one.flags & REMOTE == REMOTE:
            return 1
        return 2 if not one.flags & KNOWN and one.parent not in stored else NO_ROOT

    first = min(copies, key=lambda one: (rank(one), one.start, one.span_id, not one.stamped, one.owner, -one.duration))
    circle = all(one.parent in stored for one in copies)
    return (2 if circle and rank(first) == NO_ROOT else rank(first)), first


def _said(copies: Sequence[Copy], root: Copy | None) -> Said:
    """Return what spans say of their trace: the root's word counts, then the later start's, then the greater id's."""
    fields: dict[str, str] = {}
    tools: dict[str, str] = {}
    root_id = root.span_id if root else None
    for one in sorted(copies, key=lambda copy: (copy.span_id == root_id, copy.start, copy.span_id, sorted(copy.of_trace().items()))):
        fields |= one.set_for_trace()
        tools |= one.tool_metadata()
    return Said(fields, tools)


def _below(prefix: str, said: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in said.items() if key.startswith(prefix)}


def _metadata(copies: Sequence[Copy], root: Copy | None, first: Copy, said: Said) -> dict[str, str]:
    """Return the metadata: of the process, over it what other tools set, then session and user, then what was set for the trace."""
    own = {key: value for key, value in first.attributes.items() if key in words.PROCESS_KEYS}
    metadata = effective({**first.resource, **own}) | said.tools
    named = {
        words.SESSION: _named(copies, root, words.SESSIONS),
        words.USER: _named(copies, root, words.USERS) or said.tools.get("user_id", ""),
    }
    return metadata | {key: value for key, value in named.items() if value} | _below(words.METADATA, said.fields)


def _named(copies: Sequence[Copy], root: Copy | None, keys: Sequence[str]) -> str:
    """Return who is named: by the attribute that counts most, then by the root, then by the latest span, then by the greater id."""
    named = [(-place, one is root, one.start, one.span_id, value) for one in copies for place, value in [one.first(keys)] if value]
    return max(named)[-1] if named else ""


def _of_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    columns = {
        "SessionId": words.SESSION,
        "UserId": words.USER,
        "ModelId": "mlflow.modelId",
        "SourceType": "mlflow.source.type",
        "AppVersion": "app_version",
        "GitCommit": "mlflow.source.git.commit",
        "GitBranch": "mlflow.source.git.branch",
        "GitDirty": "mlflow.source.git.dirty",
    }
    return {column: metadata.get(key, "") for column, key in columns.items()}


def _state(root: Copy | None, said: Mapping[str, str]) -> str:
    set_state = said.get("mlflow.traceState", "")
    if set_state in words.STATES:
        return set_state
    if root is None:
        return "IN_PROGRESS"
    return "ERROR" if root.error else "OK"


def _request(copies: Sequence[Copy], root: Copy | None) -> str:
    """Return the root's input, else that of the earliest span that has one."""
    having = [one for one in copies if one.value(words.REQUEST)]
    if not having:
        return ""
    place, value = min((one is not root, one.start, one.span_id, one.first(words.REQUEST)) for one in having)[-1]
    return preview(words.REQUEST[place], value)


def _response(copies: Sequence[Copy], root: Copy | None) -> str:
    """Return the root's output, else that of the span that ended last of those that have one."""
    having = [one for one in copies if one.value(words.RESPONSE)]
    if not having:
        return ""
    place, value = max((one is root, one.start + one.duration, one.span_id, one.first(words.RESPONSE)) for one in having)[-1]
    return preview(words.RESPONSE[place], value)


def _all(copies: Sequence[Copy], words_of: Callable[[Copy], Iterable[str]]) -> list[str]:
    return sorted({word for one in copies for word in words_of(one)})


def _errors(copies: Sequence[Copy], counted: Sequence[Copy]) -> dict[str, Any]:
    """Return the columns of errors; message and fingerprint are those of the earliest span that failed."""
    failed = [(one.start, one.span_id, one.failure()) for one in copies if one.error]
    kind, message = min(failed)[-1] if failed else ("", "")
    return {
        "ErrorCount": sum(one.error for one in counted),
        "ErrorTypes": _all(copies, Copy.error_types),
        "ErrorMessage": message,
        "ErrorFingerprint": f"{kind}: {_NUMBERS.sub('0', message)}" if failed else "",
    }


def _numbers(counted: Sequence[Copy], large: bool) -> dict[str, Any]:
    numbers = {column: _once(counted, column, large) for column in words.NUMBERS}
    cost = numbers.pop("Cost")
    tokens = {column: None if number is None else int(number) for column, number in numbers.items()}
    return {**tokens, "Cost": cost, "CostSource": "" if cost is None else "sent", "PriceVersion": ""}


def _once(counted: Sequence[Copy], column: str, large: bool) -> float | None:
    """Return the sum of a number over a trace: each span adds what its nearest descendants that report the number do not account for.

    Of a large trace only children count for such descendants.
    """
    children = defaultdict(list)
    for one in counted:
        children[one.parent].append(one)
    numbers = {one.span_id: one.number(column) for one in counted}

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
