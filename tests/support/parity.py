"""The traces and the questions that MLflow and this project are both asked: no chance in them, and nothing imported but what makes spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support import otlp

NUMBER = 200
FIRST_MS = 1_760_000_000_000
HOSTILE = ("", " ", "NULL", "' OR 1=1 --", "%", "_", "100%", "a\\", "é", "É", "x; DROP TABLE traces", "it's", '"', "v1", "V1", "10", "9")


@dataclass(frozen=True)
class Span:
    """A span of a trace; the first one is the root."""

    name: str
    type: str
    error: bool
    attributes: dict[str, str]


@dataclass(frozen=True)
class Trace:
    """A trace as both stores are given it."""

    number: int
    name: str
    start_ms: int
    duration_ms: int
    client_request_id: str | None
    metadata: dict[str, str]
    tags: dict[str, str]
    spans: tuple[Span, ...]

    @property
    def id(self) -> bytes:
        return bytes([1, self.number]) * 8

    def otlp_spans(self, extra: Mapping[str, str]) -> Iterator[Any]:
        """The spans as OTLP; ``extra`` are attributes of the root."""
        root = bytes([2, self.number]) * 4
        for place, span in enumerate(self.spans):
            yield otlp.span(
                span.name,
                trace_id=self.id,
                span_id=root if place == 0 else bytes([3, self.number, place, 1]) * 2,
                parent=b"" if place == 0 else root,
                start_ns=self.start_ms * 1_000_000,
                duration_ns=self.duration_ms * 1_000_000 if place == 0 else 0,
                attributes={"mlflow.spanType": span.type, **span.attributes, **(extra if place == 0 else {})},
                error=span.error,
            )


def traces() -> list[Trace]:
    """The traces: every value meets others of every other key."""
    return [_trace(number) for number in range(NUMBER)]


def _trace(number: int) -> Trace:
    def pick(values: tuple[Any, ...], step: int) -> Any:
        return values[number // step % len(values)]

    metadata = {
        "app_version": pick(("1.0.0", "1.1.0", "1.10.0", "1.9.2", None), 1),
        "mlflow.source.type": pick(("production", "staging", "LOCAL", None), 3),
        "mlflow.source.git.branch": pick(("main", "feature/a", "feature/b", None), 2),
        "mlflow.sourceRun": pick((None, "run-aaaa", None, "run-bbbb"), 5),
        "mlflow.trace.session": pick(("s-1", "s-2", None), 4),
        "my key": pick(("v1", None, "v2"), 7),
        "name": "v1" if number % 50 == 0 else None,
        "status": "v1" if number % 50 == 1 else None,
        "clé": "v0" if number % 50 == 2 else None,
        "note": HOSTILE[number % len(HOSTILE)] if number % 2 else None,
    }
    tags = {
        "team": pick(("ads", "search", "Search", None), 2),
        "it's": "v1" if number % 40 == 3 else None,
        "run_id": "v1" if number % 40 == 4 else None,
        "note": HOSTILE[number // 2 % len(HOSTILE)] if number % 2 == 0 else None,
    }
    error = number % 4 == 3
    spans = [Span(pick(("chat", "Chat", "embed", "it's"), 3), "CHAIN", error, {"question": f"item {number % 20}"})]
    if number % 3:
        spans.append(Span("retrieve", "RETRIEVER", number % 5 == 0, {"model": pick(("gpt-4o", "gpt-4o-mini", "claude"), 1)}))
    if number % 4:
        spans.append(Span("call", "LLM", number % 7 == 0, {"model": pick(("gpt-4o", "claude"), 2), "top_k": str(number % 12)}))
    return Trace(
        number=number,
        name=spans[0].name,
        start_ms=FIRST_MS + number // 2 * 1000,
        duration_ms=number * 37 % 11 * 100,
        client_request_id=pick((None, f"c{number % 6}", "C1"), 3),
        metadata={key: value for key, value in metadata.items() if value is not None},
        tags={key: value for key, value in tags.items() if value is not None},
        spans=tuple(spans),
    )


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


def _text_filters() -> Iterator[str]:
    """Every key of a trace that is text, with every operator, and values that are there, are not there, and that are odd."""
    keys = {
        "metadata.app_version": ("1.0.0", "9.9"),
        "request_metadata.`mlflow.source.type`": ("production", "PRODUCTION"),
        "metadata.mlflow.source.git.branch": ("feature/a", "Main"),
        "metadata.`my key`": ("v1", "v3"),
        'metadata."note"': ("v1", "nothing"),
        "metadata.clé": ("v0", "V0"),
        "metadata.status": ("v1", "OK"),
        "metadata.nope": ("x", ""),
        "metadata.`mlflow.trace.session`": ("s-1", "s-9"),
        "tag.team": ("search", "SEARCH"),
        "tags.`it's`": ("v1", "v2"),
        "tag.mlflow.traceName": ("chat", "CHAT"),
        "tag.nope": ("x", ""),
        "name": ("chat", "nobody"),
        "trace.name": ("embed", "Embed"),
        "status": ("ERROR", "ok"),
        "attribute.status": ("OK", "IN_PROGRESS"),
        "client_request_id": ("C1", "c9"),
        "request_id": (f"tr-{_trace(7).id.hex()}", "tr-00"),
        "run_id": ("run-aaaa", "run-zzzz"),
        "span.name": ("retrieve", "Retrieve"),
        "span.type": ("LLM", "llm"),
        "span.status": ("ERROR", "error"),
    }
    for key, values in keys.items():
        for value in values:
            for operator in ("=", "!=", "LIKE", "ILIKE", "RLIKE"):
                yield f"{key} {operator} {_quoted(value)}"
        first, other = values
        yield f"{key} LIKE '%{first[1:-1]}%'"
        yield f"{key} ILIKE '{first[:2].upper()}%'"
        yield f"{key} RLIKE '^{first[:2]}'"
        yield f"{key} IS NULL"
        yield f"{key} IS NOT NULL"
        yield f"{key} IN ({_quoted(first)}, {_quoted(other)})"
        yield f"{key} NOT IN ({_quoted(first)})"
        yield f"{key} < {_quoted(first)}"
        yield f"{key} = 10"
    for value in HOSTILE:
        for key in ("metadata.note", "tag.note"):
            for operator in ("=", "!=", "LIKE", "ILIKE"):
                yield f"{key} {operator} {_quoted(value)}"


def _number_filters() -> Iterator[str]:
    for key, value in {"timestamp_ms": FIRST_MS + 50_000, "timestamp": FIRST_MS + 50_000, "execution_time_ms": 300, "execution_time": 1000}.items():
        for operator in ("=", "!=", "<", "<=", ">", ">="):
            yield f"{key} {operator} {value}"
            yield f"{key} {operator} {value + 0.5}"
        yield f"{key} > '{value}'"
        yield f"{key} LIKE '1%'"
        yield f"{key} > -1"
        yield f"{key} > 99999999999999999999"
    for operator in ("=", "!=", "<", "<=", ">", ">="):
        yield f"end_time {operator} {FIRST_MS + 50_300}"
        yield f"trace.end_time_ms {operator} {FIRST_MS + 10_000}"


OTHER_FILTERS = (
    # Joined
    "metadata.app_version = '1.0.0' AND tag.team = 'ads'",
    "metadata.app_version = '1.0.0' and tag.team = 'ads' And status = 'OK'",
    "metadata.app_version = '1.0.0' tag.team = 'ads'",
    "AND status = 'OK'",
    "status = 'OK' AND",
    "metadata.app_version = '1.0.0' AND metadata.app_version = '1.1.0'",
    "metadata.app_version != '1.0.0' AND metadata.app_version != '1.1.0'",
    "metadata.`mlflow.source.type` = 'production' AND metadata.app_version = '1.0.0'",
    "metadata.`mlflow.source.type` = 'production' AND timestamp_ms > 1760000050000 AND status = 'ERROR'",
    "name = 'chat' AND execution_time > 300 AND tag.team IS NULL",
    "run_id = 'run-aaaa' AND run_id = 'run-bbbb'",
    "",
    # One span
    "span.name = 'retrieve' AND span.status = 'ERROR'",
    "span.type = 'LLM' AND span.type = 'RETRIEVER'",
    "span.type IN ('LLM', 'RETRIEVER') AND span.status != 'ERROR'",
    "span.name = 'call' AND status = 'ERROR'",
    "span.name = 'call' AND span.attributes.model LIKE '%claude%'",
    "span.attributes.model RLIKE '^gpt-4o$'",
    "span.attributes.model ILIKE '%GPT%'",
    "span.attributes.nope LIKE '%x%'",
    "span.attributes.model = 'gpt-4o'",
    "span.attributes.model != 'gpt-4o'",
    "span.attributes.model IN ('gpt-4o')",
    "span.attributes.model LIKE 'gpt%'",
    "span.content LIKE '%item 1%'",
    "span.content ILIKE '%ITEM 19%'",
    "trace.text LIKE '%item 7%'",
    "trace.text ILIKE '%CLAUDE%'",
    "trace.text LIKE '%nothing like it%'",
    "trace.text = 'x'",
    "span.kind = 'SERVER'",
    "span.duration_ms > 5",
    "span.nope = 'x'",
    # Not MLflow's
    "status = 'OK' OR status = 'ERROR'",
    "NOT status = 'OK'",
    "(status = 'OK')",
    "metadata.app_version > '1.9.2'",
    "resource.service.name = 'x'",
    "cost > 1",
    "session = 's-1'",
    "timestamp > now() - 1h",
    # Mistakes
    "   ",
    "status",
    "status =",
    "status = OK",
    "status = `OK`",
    "status == 'OK'",
    "status <> 'OK'",
    "status = 'OK",
    "= 'OK'",
    "stat = 'OK'",
    "state = 'OK'",
    "trace_id = 'x'",
    "METADATA.app_version = '1.0.0'",
    "attr.name = 'x'",
    "spans.name = 'x'",
    "trace.metadata.app_version = '1.0.0'",
    "param.a = 'x'",
    "assessment.quality > 0.5",
    "metadata.my-key = 'v1'",
    "metadata.a:b = 'v1'",
    "metadata.note = NULL",
    "metadata.app_version BETWEEN '1' AND '2'",
    "status = 'OK', name = 'chat'",
    "status = 'OK'; DROP TABLE traces",
    "status = 'OK' -- x",
    "status IN (OK)",
    "status IN ()",
    "status IN 'OK'",
    "status IS 'OK'",
    "timestamp IS NULL",
    "timestamp > 'today'",
    "user = 'x'",
    "text = 'x'",
    "prompt = 'x'",
    "prompt LIKE 'a/1'",
    "feedback.quality > 'high'",
    "metadata. = 'x'",
    # Accidents
    "metadata.name = 'v1'",
    "metadata.name = 'chat'",
    "tag.run_id = 'v1'",
    "metadata.note = 'it''s'",
    r"metadata.note = 'it\'s'",
)

ORDERS: tuple[tuple[str, ...], ...] = (
    (),
    ("timestamp ASC",),
    ("timestamp_ms DESC",),
    ("timestamp",),
    ("execution_time",),
    ("execution_time_ms DESC", "timestamp asc"),
    ("end_time DESC",),
    ("status", "timestamp DESC"),
    ("name",),
    ("name DESC", "request_id DESC"),
    ("request_id",),
    ("request_id DESC",),
    ("run_id",),
    ("run_id DESC",),
    ("metadata.app_version",),
    ("metadata.app_version DESC", "execution_time ASC"),
    ("metadata.`my key` desc",),
    ("metadata.nope",),
    ("tag.team",),
    ("tag.team DESC", "name ASC"),
    ("attribute.status DESC",),
    ("metadata.note",),
    ("tag.note DESC",),
    ("experiment_id",),
    ("client_request_id",),
    ("span.name",),
    ("text",),
    ("nope",),
    ("name NULLS FIRST",),
    ("name, status",),
    ("",),
    ("timestamp", "timestamp_ms"),
    ("cost",),
)


def filters() -> list[str]:
    """All filters, each once."""
    return list(dict.fromkeys([*_text_filters(), *_number_filters(), *OTHER_FILTERS]))
