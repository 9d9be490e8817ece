"""OTLP over real sockets: what is acknowledged is stored, what is refused is told why, and neighbours pay for nobody."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from tests.support.otlp import request, span, trace
from tests.support.receiver import Receiver
from tests.support.store import TestStore

from spanhouse.exporter.access.tokens import Right, Tokens
from spanhouse.exporter.errors import UnavailableError
from spanhouse.schema.settle.settle import settle_all


@pytest.fixture
def receiver(store: TestStore) -> Iterator[Receiver]:
    with Receiver(store) as running:
        yield running


def trailing(error: Any) -> dict[str, bytes]:
    """The trailing metadata of a failed call; grpc's errors are calls, which its types do not say."""
    return dict(error.trailing_metadata() or ())


def count(store: TestStore) -> int:
    return int(store.client.command("SELECT count() FROM otel_traces"))  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_service_that_knows_nothing_of_us_is_stored_with_its_resource(
    receiver: Receiver, store: TestStore, protocol: str, compression: str
) -> None:
    exporter: SpanExporter
    if protocol == "grpc":
        kind = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        exporter = GrpcExporter(endpoint=receiver.grpc, insecure=True, compression=kind)
    else:
        from opentelemetry.exporter.otlp.proto.http import Compression

        exporter = HttpExporter(endpoint=f"http://{receiver.http}/v1/traces", compression=Compression(compression))
    provider = TracerProvider(resource=Resource({"service.name": "stock", "team": "search"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("stock.lib", "2.0")
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner") as inner:
        inner.set_attribute("answer", 42)
    assert provider.force_flush()
    provider.shutdown()
    settle_all(store.execute)
    (row,) = store.rows("SELECT Name, ServiceName, SpanCount, Metadata FROM traces")
    assert (row["Name"], row["ServiceName"], row["SpanCount"], row["Metadata"]["team"]) == ("outer", "stock", 2, "search")


def test_two_hundred_requests_at_once_share_at_most_twenty_inserts(receiver: Receiver, store: TestStore) -> None:
    bodies = [trace().SerializeToString() for _ in range(200)]
    with ThreadPoolExecutor(200) as clients:
        answers = list(clients.map(receiver.export, bodies[:100])) + [status for status, _, _ in clients.map(receiver.post, bodies[100:])]
    assert answers == [b""] * 100 + [200] * 100
    assert len(receiver.inserts) <= 20
    assert count(store) == 600
    parts = store.rows("SELECT max(max_block_number) AS inserts FROM system.parts WHERE table = 'otel_traces' AND database = currentDatabase()")
    assert parts[0]["inserts"] <= 20


@pytest.mark.parametrize("body", [b"garbage", trace().SerializeToString()[:-3], b"\xff" * 100])
def test_garbage_is_refused_on_both_transports_with_a_status_and_costs_its_neighbours_nothing(
    receiver: Receiver, store: TestStore, body: bytes
) -> None:
    with ThreadPoolExecutor(8) as clients:
        neighbours = [clients.submit(receiver.export, trace().SerializeToString()) for _ in range(4)]
        with pytest.raises(grpc.RpcError) as caught:
            receiver.export(body)
        code, answer, headers = receiver.post(body)
        assert [neighbour.result() for neighbour in neighbours] == [b""] * 4
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = Status.FromString(trailing(caught.value)["grpc-status-details-bin"])
    assert (details.code, details.message) == (3, caught.value.details())
    assert (code, headers["content-type"]) == (400, "application/x-protobuf")
    assert Status.FromString(answer) == details
    assert "\n" not in details.message
    assert count(store) == 12


def test_an_empty_request_is_a_success(receiver: Receiver) -> None:
    assert receiver.export(b"") == b""
    assert receiver.post(b"")[:2] == (200, b"")
    assert receiver.export(request([]).SerializeToString()) == b""
    assert receiver.inserts == []


def test_spans_with_bad_ids_are_counted_in_a_partial_success(receiver: Receiver, store: TestStore) -> None:
    body = request([span("good"), span("bad", trace_id=b"short"), span("bad", span_id=bytes(8))]).SerializeToString()
    for answer in (receiver.export(body), receiver.post(body)[1]):
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
        assert partial.rejected_spans == 2
        assert "trace_id" in partial.error_message
    assert {row["SpanName"] for row in store.rows("SELECT SpanName FROM otel_traces")} == {"good"}


def test_a_full_success_says_nothing(receiver: Receiver) -> None:
    assert not ExportTraceServiceResponse.FromString(receiver.post(trace().SerializeToString())[1]).HasField("partial_success")


def test_what_is_larger_than_the_limit_is_refused_for_good(receiver: Receiver) -> None:
    body = trace(attributes={"blob": "x" * 2**20}).SerializeToString()
    with pytest.raises(grpc.RpcError) as caught:
        receiver.export(body)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "retry" not in str(trailing(caught.value))
    assert receiver.post(body)[0] == 413
    bomb = gzip.compress(bytes(64 * 2**20))
    assert len(bomb) < 2**20
    assert receiver.post(bomb, content_encoding="gzip")[0] == 413


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (415, {"content_type": "text/plain"}),
        (415, {"content_type": ""}),
        (415, {"content_encoding": "br"}),
        (400, {"content_encoding": "gzip"}),
        (404, {"path": "/v1/other"}),
        (404, {"path": "/v1/logs"}),
        (404, {"path": "/v1/metrics"}),
        (405, {"method": "PUT"}),
    ],
)
def test_a_wrong_request_gets_its_code_and_one_line(receiver: Receiver, code: int, options: dict[str, str]) -> None:
    status, answer, _ = receiver.post(trace().SerializeToString(), **options)
    message = Status.FromString(answer).message
    assert status == code
    assert message
    assert "\n" not in message


def test_a_gzip_body_that_is_cut_short_is_refused(receiver: Receiver) -> None:
    assert receiver.post(gzip.compress(trace().SerializeToString())[:-9], content_encoding="gzip")[0] == 400


def test_a_charset_in_the_content_type_is_no_reason_to_refuse(receiver: Receiver) -> None:
    assert receiver.post(trace().SerializeToString(), content_type="application/x-protobuf; charset=utf-8")[0] == 200


@pytest.mark.parametrize("service", ["logs.v1.LogsService", "metrics.v1.MetricsService"])
def test_other_signals_learn_that_only_traces_are_kept(receiver: Receiver, service: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        receiver.export(b"", f"/opentelemetry.proto.collector.{service}/Export")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "only traces" in (caught.value.details() or "")


def test_a_store_that_is_away_is_said_to_be_retryable(receiver: Receiver, store: TestStore) -> None:
    receiver.fault = lambda bodies: [UnavailableError("the store can't be reached; try again", 2.0)] * len(bodies)
    body = trace().SerializeToString()
    with pytest.raises(grpc.RpcError) as caught:
        receiver.export(body)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    status = Status.FromString(trailing(caught.value)["grpc-status-details-bin"])
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.retry_delay.seconds == 2
    code, _, headers = receiver.post(body)
    assert (code, headers["retry-after"]) == (503, "2")
    receiver.fault = None
    assert receiver.export(body) == b""
    assert count(store) == 3


def test_a_stock_exporter_gets_through_a_store_that_was_away(receiver: Receiver, store: TestStore) -> None:
    def away_once(bodies: list[bytes]) -> list[UnavailableError]:
        receiver.fault = None
        return [UnavailableError("away", 0.1)] * len(bodies)

    receiver.fault = away_once  # type: ignore[assignment]
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(GrpcExporter(endpoint=receiver.grpc, insecure=True)))
    provider.get_tracer("t").start_span("retried").end()
    assert provider.force_flush()
    provider.shutdown()
    assert count(store) == 1


def test_with_a_token_file_only_tokens_that_may_ingest_are_let_in(store: TestStore) -> None:
    def digest(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    tokens = Tokens({digest("writer"): frozenset({Right.INGEST}), digest("reader"): frozenset({Right.READ})})
    body = trace().SerializeToString()
    with Receiver(store, tokens=tokens) as receiver:
        for token, code, status in (
            ("", grpc.StatusCode.UNAUTHENTICATED, 401),
            ("Bearer wrong", grpc.StatusCode.UNAUTHENTICATED, 401),
            ("Bearer reader", grpc.StatusCode.PERMISSION_DENIED, 403),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                receiver.export(body, metadata=(("authorization", token),) if token else ())
            assert caught.value.code() is code
            assert receiver.post(body, authorization=token)[0] == status
        assert count(store) == 0
        assert receiver.export(body, metadata=(("authorization", "Bearer writer"),)) == b""
        assert receiver.post(body, authorization="Bearer writer")[0] == 200
    assert count(store) == 3
