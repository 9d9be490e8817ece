"""Requests of tracing packages come to the rows that are written beside them, in one piece and span by span, the last one first."""

from __future__ import annotations

import tomllib
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from tests.support.otlp_json import from_json
from tests.support.serve import Serve

APPS: Final = Path(__file__).parents[1] / "fixtures" / "apps"
CAPTURES: Final = sorted(path for path in APPS.iterdir() if path.suffix in {".pb", ".json"})
CONTENT_TYPES: Final = {".pb": "application/x-protobuf", ".json": "application/json"}
SERVICE: Final[Mapping[str, Any]] = {"Name": "", "Version": "", "Commit": "", "Branch": "", "Environment": "", "Spans": 0, "Errors": 0, "SelfTime": 0}
ABSENT: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("Name", "ServiceName", "State", "SessionId", "UserId", "ModelId", "SourceType", "AppVersion"), ""),
    **dict.fromkeys(("GitCommit", "GitBranch", "GitDirty", "ClientRequestId", "RequestPreview", "ResponsePreview"), ""),
    **dict.fromkeys(("CostSource", "PriceVersion", "ErrorMessage", "ErrorFingerprint", "NameTemplate", "RootSpanId"), ""),
    **dict.fromkeys(("Duration", "SpanCount", "ErrorCount", "Before", "After"), 0),
    **dict.fromkeys(("InputTokens", "OutputTokens", "CachedTokens", "ReasoningTokens", "Cost"), None),
    **{name: [] for name in ("Models", "SpanTypes", "ErrorTypes", "FinishReasons", "Tools", "Prompts")},
}
"""Columns of which a row may have nothing."""
ALL_COLUMNS: Final = "SELECT * REPLACE (toUnixTimestamp64Nano(Timestamp) AS Timestamp) FROM traces"

Rows = dict[str, dict[str, Any]]


def expected(capture: Path) -> Rows:
    """Return the rows that a capture must come to, by trace id."""
    said = tomllib.loads(capture.with_suffix(".toml").read_text())
    return {trace_id: row(trace_id, said["common"], trace) for trace_id, trace in said["trace"].items()}


def row(trace_id: str, common: Mapping[str, Any], trace: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"TraceId": trace_id, **ABSENT, **common, **trace}
    found["Metadata"] = {**common["Metadata"], **trace.get("Metadata", {})}
    services = [{**SERVICE, **service} for service in found.pop("Services")]
    return found | {f"Services.{name}": [service[name] for service in services] for name in SERVICE}


def send(serve: Serve, body: bytes, content_type: str = CONTENT_TYPES[".pb"]) -> None:
    call = urllib.request.Request(f"http://{serve.http}/v1/traces", body, {"Content-Type": content_type})
    with urllib.request.urlopen(call, timeout=60) as answer:  # noqa: S310 an address of our own
        assert answer.status == 200


def pieces(capture: Path) -> list[list[bytes]]:
    """Return the spans of each trace, the last one first, each as a request of its own."""
    body = capture.read_bytes()
    request = from_json(body) if capture.suffix == ".json" else ExportTraceServiceRequest.FromString(body)
    traces = defaultdict(list)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                alone = ScopeSpans(scope=scope.scope, schema_url=scope.schema_url, spans=[span])
                piece = ResourceSpans(resource=resource.resource, schema_url=resource.schema_url, scope_spans=[alone])
                body = ExportTraceServiceRequest(resource_spans=[piece]).SerializeToString()
                traces[span.trace_id].append((span.start_time_unix_nano, span.span_id, body))
    return [[body for _, _, body in sorted(spans, reverse=True)] for spans in traces.values()]


def stored(serve: Serve) -> Rows:
    """Return the stored rows by trace id."""
    client = clickhouse_connect.get_client(dsn=serve.dsn)
    try:
        return {found["TraceId"]: _as_sent(found) for found in client.query(ALL_COLUMNS).named_results()}
    finally:
        client.close()


def _as_sent(found: dict[str, Any]) -> dict[str, Any]:
    """Return a row without a cost that was computed from prices, which are another matter."""
    return found | {"Cost": None, "CostSource": "", "PriceVersion": ""} if found["CostSource"] == "computed" else found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """Rows of all captures, each sent as it is."""
    with Serve(tmp_path_factory.mktemp("whole")) as serve:
        for capture in CAPTURES:
            send(serve, capture.read_bytes(), CONTENT_TYPES[capture.suffix])
        serve.drained()
        yield stored(serve)


@pytest.fixture(scope="module")
def in_pieces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """Rows of all captures, each trace in one insert for each of its spans."""
    with Serve(tmp_path_factory.mktemp("pieces")) as serve:
        for one_of_each in zip_longest(*(trace for capture in CAPTURES for trace in pieces(capture))):
            for body in one_of_each:
                if body is not None:
                    send(serve, body)
            serve.drained()
        yield stored(serve)


@pytest.mark.parametrize("sent", ["whole", "in_pieces"])
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_each_trace_has_the_row_that_is_written_beside_it(capture: Path, sent: str, request: pytest.FixtureRequest) -> None:
    rows = request.getfixturevalue(sent)
    wrong = {trace_id: wrong_columns(rows[trace_id], right) for trace_id, right in expected(capture).items()}
    assert {trace_id: columns for trace_id, columns in wrong.items() if columns} == {}


def wrong_columns(got: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that differ, as (got, right). Fingerprints have names in the expectations: only whether there is one is compared."""
    assert got.keys() == right.keys()
    pairs = {column: (got[column], right[column]) for column in right}
    pairs["ErrorFingerprint"] = (bool(got["ErrorFingerprint"]), bool(right["ErrorFingerprint"]))
    return {column: pair for column, pair in pairs.items() if pair[0] != pair[1]}


def test_the_captures_are_all_that_is_stored(whole: Rows, in_pieces: Rows) -> None:
    traces = {trace_id for capture in CAPTURES for trace_id in expected(capture)}
    assert (set(whole), set(in_pieces)) == (traces, traces)


def test_errors_of_one_kind_have_one_fingerprint_and_other_kinds_have_others(whole: Rows, in_pieces: Rows) -> None:
    found: dict[str, set[int]] = defaultdict(set)
    for capture in CAPTURES:
        for trace_id, right in expected(capture).items():
            found[right["ErrorFingerprint"]] |= {whole[trace_id]["ErrorFingerprint"], in_pieces[trace_id]["ErrorFingerprint"]}
    assert {kind: len(hashes) for kind, hashes in found.items()} == dict.fromkeys(found, 1)
    assert found[""] == {0}
    assert len(set.union(*found.values())) == len(found)
