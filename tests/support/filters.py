"""The filter language read a second time, in plain Python and over plain values: what a search has to find.

Traces are cases, filters are trees that write themselves down. A filter holds for a trace if some span makes it hold; NOT asks anew.
"""

from __future__ import annotations

import operator
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tests.support import otlp
from tests.support.store import TestStore

from spanhouse.schema.settle import remake

MISSING = None
"""A field without a value: no comparison with it holds."""

SHA = "0123abcdef" * 4
KEYS = ("k", "my key", "it's", "clé", "a.b", "name", "status", "back`tick", 'quo"te', "mlflow.source.git.commit", "mlflow.trace.session")
SOME_TEXTS = (
    *("", "a", "A", "ab", "aB", "é", "É", "10", "9", "1.0.0", "it's", '"', "%", "_", "100%", "\\", "a\\", "\\%", "NULL", "{p0:String}"),
    *("a\nb", "\0", "' OR 1 --", "a%b", "a_b", "a`b", "aé1", ";", SHA, "0123abce" + "0" * 32, "0123ab", '"a"', '"', "chat"),
    *("1.9.2", "v1.10.0", "1.10", "1.10.0-rc.1", "1.10.0rc2", "1.10.0.post1", "2026-01-31", "2026-01-31T00:00:00Z", "2026-01-30T23:30:00-01:00"),
    *("2025-13-01", "-1.5", "1e3", "+9", "9.0", ".5", "1.", "9x"),
)
STARTS_MS = (1_760_000_000_000, 1_760_000_000_001, 1_760_003_600_000)
KINDS = ("Internal", "Server", "Client", "Producer", "Consumer")


@dataclass(frozen=True)
class OneSpan:
    """A span below the root."""

    name: str
    error: bool
    kind: int
    duration_us: int
    attributes: dict[str, str]
    resource: dict[str, str]
    tokens: int = 0
    cost: float = 0.0

    @property
    def reports(self) -> bool:
        """True if it says what it spent."""
        return bool(self.tokens or self.cost)

    @property
    def sent(self) -> dict[str, Any]:
        spent = {"gen_ai.usage.input_tokens": self.tokens, "gen_ai.usage.cost": self.cost} if self.reports else {}
        return {**self.attributes, **spent}

    def value(self, key: str) -> Any:
        sent = {name: str(value) for name, value in self.sent.items()}
        if key == "type":
            return sent.get("mlflow.spanType", "").strip('"') or MISSING
        return {
            "name": self.name,
            "status": "ERROR" if self.error else "UNSET",
            "kind": KINDS[self.kind - 1],
            "duration_ms": self.duration_us / 1000,
            "content": "\n".join([self.name, "boom" if self.error else "", *sent, *sent.values()]),
        }[key]


@dataclass(frozen=True)
class Case:
    """One stored trace."""

    process: dict[str, str]
    own: dict[str, str]
    tags: dict[str, str]
    edits: dict[str, str | None]
    name: str
    error: bool
    start_ms: int
    duration_ms: int
    client_request_id: str
    rootless: bool
    children: tuple[OneSpan, ...] = ()
    id: bytes = b""

    @property
    def trace_id(self) -> str:
        return f"tr-{self.id.hex()}"

    @property
    def shown_name(self) -> str:
        return "" if self.rootless else self.name

    @property
    def root(self) -> OneSpan:
        attributes = {f"mlflow.traceMetadata.{key}": value for key, value in self.own.items()}
        attributes |= {f"mlflow.traceTag.{key}": value for key, value in self.tags.items()}
        attributes["mlflow.traceClientRequestId"] = self.client_request_id
        return OneSpan(self.name, self.error, 2, self.duration_ms * 1000 + 999, attributes, self.process)

    @property
    def spans(self) -> tuple[OneSpan, ...]:
        return (self.root, *self.children)

    def value(self, column: str, key: str, span: OneSpan) -> Any:
        match column:
            case "metadata":
                return {**self.process, **self.own}.get(key, MISSING)
            case "tag":
                sent = {**self.tags, **({"mlflow.traceName": self.shown_name} if self.shown_name else {})}
                return {**sent, **self.edits}.get(key, MISSING)
            case "span":
                return span.value(key)
            case "span.attributes":
                return span.attributes.get(key, MISSING)
            case "resource":
                return span.resource.get(key, MISSING)
        if key == "git.commit":
            return self.value("metadata", "mlflow.source.git.commit", span)
        return {
            "session": self.value("metadata", "mlflow.trace.session", span),
            "name": self.shown_name or MISSING,
            "status": "IN_PROGRESS" if self.rootless else "ERROR" if self.error else "OK",
            "timestamp_ms": self.start_ms,
            "execution_time_ms": MISSING if self.rootless else self.duration_ms,
            "end_time_ms": MISSING if self.rootless else self.start_ms + self.duration_ms,
            "client_request_id": self.client_request_id or MISSING,
            "request_id": self.trace_id,
            "tokens.total": self._spent([child.tokens for child in self.children]),
            "cost": self._spent([child.cost for child in self.children]),
            "span.count": len(self.spans),
        }[key]

    def _spent(self, amounts: Sequence[float]) -> Any:
        """Sum what the spans report; the reports of tokens and of cost come together."""
        return sum(amounts) if any(child.reports for child in self.children) else MISSING

    def requests(self, service: str) -> Iterator[Any]:
        parent = b"\1" * 8 if self.rootless else b""
        root_id = otlp.new_span_id()
        for span in self.spans:
            is_root = span is self.spans[0] or span == self.root
            made = otlp.span(
                span.name,
                trace_id=self.id,
                span_id=root_id if is_root else None,
                parent=parent if is_root else root_id,
                start_ns=self.start_ms * 1_000_000 + (123 if is_root else 456),
                duration_ns=span.duration_us * 1000,
                attributes=span.sent,
                error=span.error,
                kind=span.kind,
            )
            yield otlp.request([made], resource={"service.name": service if is_root else "another", **span.resource})


def store_cases(store: TestStore, cases: Sequence[Case], service: str) -> list[Case]:
    """Store the cases as new traces of a service, then their edits, those that lose among them."""
    cases = [replace(case, id=otlp.new_trace_id()) for case in cases]
    store.ingest(*[request for case in cases for request in case.requests(service)])
    edits = [
        (case.id.hex(), key, text, at, int(text is None))
        for case in cases
        for key, value in case.edits.items()
        for at, text in enumerate([*("ab", None)[len(value or "") % 2 :], value])
    ]
    if edits:
        rows = [(trace_id, key, text or "", at, deleted) for trace_id, key, text, at, deleted in edits]
        store.client.insert("trace_tags", rows, column_names=["TraceId", "Key", "Value", "EditedAt", "Deleted"])
        remake.remake_traces(store.execute, sorted({trace_id for trace_id, *_ in rows}))
    return cases


def random_cases(source: random.Random, number: int, *, most_children: int = 0) -> list[Case]:
    """Traces of all kinds, made from one source of chance."""

    def texts() -> dict[str, str]:
        return {key: source.choice(SOME_TEXTS) for key in source.sample(KEYS, source.randrange(6))}

    def child() -> OneSpan:
        attributes = texts()
        if source.random() < 0.7:
            attributes["mlflow.spanType"] = source.choice(["LLM", '"LLM"', "TOOL", '"TOOL"', ""])
        return OneSpan(
            name=source.choice(["call", "Call", "chat", "it's"]),
            error=source.random() < 0.3,
            kind=source.randrange(1, 6),
            duration_us=source.choice([0, 500, 1000, 1500, 2_000_000]),
            attributes=attributes,
            resource=texts(),
            tokens=source.choice([0, 0, 5, 10]),
            cost=source.choice([0.0, 0.0, 0.25, 0.5]),
        )

    return [
        Case(
            process=texts(),
            own=texts(),
            tags=texts(),
            edits={key: source.choice([*SOME_TEXTS, None]) for key in source.sample((*KEYS, "mlflow.traceName"), source.choice([0, 0, 1, 2]))},
            name=source.choice(["chat", "Chat", "", "it's"]),
            error=source.random() < 0.5,
            start_ms=source.choice(STARTS_MS),
            duration_ms=source.randrange(4),
            client_request_id=source.choice(["", "c1", "C1"]),
            rootless=source.random() < 0.2,
            children=tuple(child() for _ in range(source.randint(0, most_children))),
        )
        for _ in range(number)
    ]


@dataclass(frozen=True)
class Given:
    """A value of a filter: how it is written and what it is."""

    written: str
    value: Any


@dataclass(frozen=True)
class Clause:
    """A comparison: where it looks, how it compares, and with what."""

    column: str
    key: str
    operator: str
    values: Sequence[Given]

    def text(self) -> str:
        name = f"{self.column}.{quoted_key(self.key)}" if self.column in {"metadata", "tag", "span.attributes", "resource"} else self.key
        name = f"span.{self.key}" if self.column == "span" else name
        written = [given.written for given in self.values]
        if self.operator.startswith("IS"):
            return f"{name} {self.operator}"
        return f"{name} {self.operator} ({', '.join(written)})" if self.operator.endswith("IN") else f"{name} {self.operator} {written[0]}"

    def holds(self, case: Case, span: OneSpan) -> bool:
        value = case.value(self.column, self.key, span)
        if self.operator == "IS NULL":
            return value is MISSING
        if value is MISSING:
            return False
        if self.operator == "IS NOT NULL":
            return True
        wanted = [given.value for given in (self.values if self.operator.endswith("IN") else self.values[:1])]
        match self.operator:
            case "LIKE":
                return _like(value, wanted[0])
            case "ILIKE":
                return _like(value.lower(), wanted[0].lower())
            case "RLIKE":
                return re.search(wanted[0], value, re.DOTALL) is not None
            case "=" | "IN":
                return any(self._equal(value, one) is True for one in wanted)
            case "!=" | "NOT IN":
                return all(self._equal(value, one) is False for one in wanted)
            case compared:
                return _in_order(COMPARED[compared], value, wanted[0])

    def _equal(self, value: Any, wanted: Any) -> bool | None:
        """Whether they are equal; None if they cannot be compared."""
        if isinstance(value, str) and not isinstance(wanted, str):
            number = _number(value)
            return None if number is None else number == wanted
        if self.key == "git.commit" and re.fullmatch("[0-9a-f]{4,39}", wanted.lower()):
            return bool(value.startswith(wanted.lower()))
        return bool(value == wanted)


@dataclass(frozen=True)
class Joined:
    """Filters joined by one word, in parentheses; '' is an AND that is left out."""

    word: str
    parts: Sequence[Filter]

    def text(self) -> str:
        return "(" + f" {self.word} ".join(part.text() for part in self.parts) + ")"

    def holds(self, case: Case, span: OneSpan) -> bool:
        return (any if self.word == "OR" else all)(part.holds(case, span) for part in self.parts)


@dataclass(frozen=True)
class Negated:
    """What holds where the part holds for no span."""

    part: Filter

    def text(self) -> str:
        return f"NOT {self.part.text()}"

    def holds(self, case: Case, span: OneSpan) -> bool:  # noqa: ARG002  the question is asked anew
        return not holds(self.part, case)


Filter = Clause | Joined | Negated


def holds(chosen: Filter, case: Case) -> bool:
    """Whether a filter holds for a trace."""
    return any(chosen.holds(case, span) for span in case.spans)


def quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def quoted_key(key: str) -> str:
    return "`" + key.replace("`", "``") + "`"


COMPARED: dict[str, Callable[[Any, Any], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _in_order(compared: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    if not isinstance(value, str):
        return compared(value, wanted)
    if not isinstance(wanted, str):
        number = _number(value)
        return number is not None and compared(number, wanted)
    for read in (_time, version, str.encode):
        if (bound := read(wanted)) is not None:
            place = read(value)
            return place is not None and compared(place, bound)
    raise AssertionError("every text is one")


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) else None


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def version(text: str) -> Any:
    """Numbers without zeros at the end; then whether it is before, at or after the release; then the rest in runs."""
    found = re.fullmatch(r"[vV]?([0-9]+(?:\.[0-9]+)*)((?:-[0-9A-Za-z.-]+|\.?(?:rc|post|a)[0-9.]*)?)", text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    place = 1 if not found[2] else 2 if "post" in found[2] else 0
    return numbers, place, [(0, int(run), "") if run.isdigit() else (1, 0, run.lower()) for run in re.findall("[0-9]+|[A-Za-z]+", found[2])]


def _like(value: str, pattern: str) -> bool:
    pieces = re.findall(r"\\[%_\\]|.", pattern, re.DOTALL)
    regex = "".join({"%": ".*", "_": "."}.get(piece, re.escape(piece[-1])) for piece in pieces)
    return re.fullmatch(regex, value, re.DOTALL) is not None
