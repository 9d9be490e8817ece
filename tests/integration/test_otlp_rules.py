"""Every rule of the OTLP specification for a server, by its name, on every transport and encoding that is spoken here.

The sections named are those of the OpenTelemetry Protocol specification 1.x.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import pytest
import zstandard
from google.protobuf.json_format import Parse
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from tests.support.mutation import field as wire_field
from tests.support.otlp import request, span, trace
from tests.support.otlp_json import as_json
from tests.support.receiver import EXPORT, Receiver
from tests.support.store import TestStore

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.transport import otlp_http

PROTOBUF, JSON = "application/x-protobuf", "application/json"
LIMIT = 2**20
RETRYABLE_HTTP = {429, 502, 503, 504}


@pytest.fixture(scope="module")
def running(module_store: TestStore) -> Iterator[Receiver]:
    with Receiver(module_store, max_request_bytes=LIMIT) as made:
        yield made


@pytest.fixture
def receiver(running: Receiver) -> Iterator[Receiver]:
    yield running
    running.fault = None


@dataclass
class Outcome:
    """An answer of either transport.

    Attributes:
        code: name of the gRPC status code.
        http_status: of an HTTP answer.
        response: of a success.
        status: of an error.
        retry_seconds: when to try again; None for never.
    """

    code: str
    http_status: int = 0
    response: ExportTraceServiceResponse | None = None
    status: Status = field(default_factory=Status)
    retry_seconds: float | None = None


def over_grpc(receiver: Receiver, body: bytes, compression: grpc.Compression = grpc.Compression.NoCompression) -> Outcome:
    call: Any = receiver.channel.unary_unary(EXPORT)
    try:
        return Outcome("OK", response=ExportTraceServiceResponse.FromString(call(body, timeout=60, compression=compression)))
    except grpc.RpcError as error:
        return _refused(error)


def _refused(error: Any) -> Outcome:
    status = Status.FromString(dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b""))
    if status.details or status.code:
        assert (status.code, status.message) == (error.code().value[0], error.details())
    info = next((retry for retry in _details(status, RetryInfo)), None)
    return Outcome(error.code().name, status=status, retry_seconds=None if info is None else info.retry_delay.seconds)


def _details(status: Status, kind: Any) -> Iterator[Any]:
    for detail in status.details:
        made = kind()
        if detail.Unpack(made):
            yield made


def over_http(receiver: Receiver, body: bytes, content_type: str = PROTOBUF, **headers: str) -> Outcome:
    code, answer, given = receiver.post(body, content_type=content_type, **headers)
    wanted = JSON if content_type.startswith(JSON) else PROTOBUF
    assert given["content-type"] == wanted, "the answer is in the encoding of the request"

    def read(into: Message) -> Any:
        return Parse(answer, into) if wanted == JSON else type(into).FromString(answer)

    if code == 200:
        return Outcome("OK", 200, read(ExportTraceServiceResponse()))
    status = read(Status())
    name = next(one.name for one in grpc.StatusCode if one.value[0] == status.code)
    retry = float(given["retry-after"]) if "retry-after" in given else None
    info = next((one for one in _details(status, RetryInfo)), None)
    assert (info is None) == (retry is None)
    assert (code in RETRYABLE_HTTP) == (retry is not None)
    return Outcome(name, code, status=status, retry_seconds=retry)


def over_http_json(receiver: Receiver, body: bytes) -> Outcome:
    return over_http(receiver, json.dumps(as_json(ExportTraceServiceRequest.FromString(body))).encode(), JSON)


Send = Callable[[Receiver, bytes], Outcome]
TRANSPORTS: dict[str, Send] = {"grpc": over_grpc, "http-protobuf": over_http, "http-json": over_http_json}
every_transport = pytest.mark.parametrize("send", TRANSPORTS.values(), ids=list(TRANSPORTS))
binary_transports = pytest.mark.parametrize("send", [over_grpc, over_http], ids=["grpc", "http-protobuf"])


def empty_envelopes() -> bytes:
    made = request([])
    made.resource_spans.add().resource.attributes.add(key="only")
    made.resource_spans.add().scope_spans.add()
    return made.SerializeToString()


EMPTY = [b"", request([]).SerializeToString(), empty_envelopes()]


@every_transport
@pytest.mark.parametrize("body", EMPTY, ids=["no byte", "no span", "empty envelopes"])
def test_full_success__an_empty_request_succeeds(receiver: Receiver, send: Send, body: bytes) -> None:
    assert send(receiver, body).response == ExportTraceServiceResponse()


@every_transport
def test_full_success__partial_success_is_unset(receiver: Receiver, send: Send) -> None:
    outcome = send(receiver, trace().SerializeToString())
    assert outcome.response is not None
    assert not outcome.response.HasField("partial_success")


@every_transport
def test_partial_success__rejected_spans_are_counted_with_a_reason_and_the_rest_is_stored(
    receiver: Receiver, module_store: TestStore, send: Send
) -> None:
    good = span("the good one")
    body = request([span("bad", trace_id=b"\x01" * 3), good, span("zero", span_id=bytes(8))]).SerializeToString()
    outcome = send(receiver, body)
    assert outcome.response is not None
    assert outcome.response.partial_success.rejected_spans == 2
    assert "trace_id must be 16 bytes" in outcome.response.partial_success.error_message
    rows = module_store.rows(f"SELECT SpanName FROM otel_traces WHERE TraceId = '{good.trace_id.hex()}'")
    assert rows == [{"SpanName": "the good one"}]


@every_transport
def test_partial_success__a_warning_has_zero_rejected_spans_and_a_message(receiver: Receiver, send: Send) -> None:
    outcome = send(receiver, trace(attributes={"k" * 5000: 1}).SerializeToString())
    assert outcome.response is not None
    assert outcome.response.partial_success.rejected_spans == 0
    assert "a key of 5000 bytes" in outcome.response.partial_success.error_message


@binary_transports
def test_partial_success__a_text_that_is_not_utf8_costs_itself_alone_and_sent_again_is_stored_once(
    receiver: Receiver, module_store: TestStore, send: Send
) -> None:
    first = span("before", attributes={"agent": "caf\u00e9", "map": {"a": [1]}})
    spans = [first, span("cut", trace_id=first.trace_id, attributes={"agent": "caf??", "other": "x"}), span("after", trace_id=first.trace_id)]
    body = request(spans).SerializeToString().replace(b"caf??", b"caf\xc3.")
    outcome = send(receiver, body)
    assert outcome.response is not None
    assert outcome.response.partial_success.rejected_spans == 0
    assert outcome.response.partial_success.error_message == "1 texts are not UTF-8 and are kept with U+FFFD; first: span 'cut': 'agent'"
    assert send(receiver, body).response == outcome.response
    rows = module_store.rows(f"SELECT SpanName, SpanAttributes FROM otel_traces WHERE TraceId = '{first.trace_id.hex()}' ORDER BY SpanName")
    assert rows == [
        {"SpanName": "after", "SpanAttributes": {}},
        {"SpanName": "before", "SpanAttributes": {"agent": "caf\u00e9", "map": '{"a":[1]}'}},
        {"SpanName": "cut", "SpanAttributes": {"agent": "caf\ufffd.", "other": "x", "spanhouse.cut": '{"agent": 5}'}},
    ]


@every_transport
def test_partial_success__a_message_never_grows_with_the_request(receiver: Receiver, send: Send) -> None:
    body = request([span("n" * 5000, trace_id=b"x") for _ in range(100)]).SerializeToString()
    outcome = send(receiver, body)
    assert outcome.response is not None
    assert outcome.response.partial_success.rejected_spans == 100
    assert len(outcome.response.partial_success.error_message) < 1000


@every_transport
def test_partial_success__a_request_of_bad_spans_alone_is_no_error(receiver: Receiver, send: Send) -> None:
    outcome = send(receiver, request([span(trace_id=bytes(16))]).SerializeToString())
    assert outcome.response is not None
    assert outcome.response.partial_success.rejected_spans == 1


GARBAGE = [b"garbage", trace().SerializeToString()[:-3], b"\xff" * 40, wire_field(1, b"\x12\x03abc")]


@binary_transports
@pytest.mark.parametrize("body", GARBAGE)
def test_failures__bad_data_is_not_retryable_and_says_what_is_bad(receiver: Receiver, send: Send, body: bytes) -> None:
    outcome = send(receiver, body)
    assert (outcome.code, outcome.http_status in {0, 400}, outcome.retry_seconds) == ("INVALID_ARGUMENT", True, None)
    (bad,) = _details(outcome.status, BadRequest)
    assert bad.field_violations[0].description == outcome.status.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"resourceSpans":{}}', b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"x"}]}]}]}'])
def test_failures__bad_json_is_400_with_a_json_status(receiver: Receiver, body: bytes) -> None:
    outcome = over_http(receiver, body, JSON)
    assert (outcome.code, outcome.http_status) == ("INVALID_ARGUMENT", 400)
    (bad,) = _details(outcome.status, BadRequest)
    assert bad.field_violations[0].description == outcome.status.message


@every_transport
def test_request_size_limit__before_decompression_is_not_retryable(receiver: Receiver, send: Send) -> None:
    outcome = send(receiver, trace(attributes={"blob": "x" * (LIMIT - 100)}).SerializeToString())
    assert (outcome.code, outcome.http_status in {0, 413}, outcome.retry_seconds) == ("RESOURCE_EXHAUSTED", True, None)
    assert str(LIMIT) in outcome.status.message


def test_request_size_limit__far_beyond_it_grpc_itself_refuses_and_not_retryably(receiver: Receiver) -> None:
    outcome = over_grpc(receiver, bytes(3 * LIMIT))
    assert (outcome.code, outcome.retry_seconds, list(outcome.status.details)) == ("RESOURCE_EXHAUSTED", None, [])


BOMB = bytes(64 * LIMIT)
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", CODINGS)
def test_request_size_limit__after_decompression_over_http(receiver: Receiver, coding: str) -> None:
    packed = CODINGS[coding](BOMB)
    assert len(packed) < LIMIT
    outcome = over_http(receiver, packed, content_encoding=coding)
    assert (outcome.code, outcome.http_status) == ("RESOURCE_EXHAUSTED", 413)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_request_size_limit__after_decompression_over_grpc(receiver: Receiver, compression: grpc.Compression) -> None:
    outcome = over_grpc(receiver, BOMB, compression)
    assert (outcome.code, outcome.retry_seconds) == ("RESOURCE_EXHAUSTED", None)


@pytest.mark.parametrize("coding", [*CODINGS, "identity"])
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_compression__bodies_are_read_as_their_header_says(receiver: Receiver, coding: str, content_type: str) -> None:
    made = trace()
    body = made.SerializeToString() if content_type == PROTOBUF else json.dumps(as_json(made)).encode()
    packed = CODINGS.get(coding, bytes)(body)
    assert over_http(receiver, packed, content_type, content_encoding=coding).response == ExportTraceServiceResponse()


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compression__grpc_messages_are_read_as_their_flag_says(receiver: Receiver, compression: grpc.Compression) -> None:
    assert over_grpc(receiver, trace().SerializeToString(), compression).response == ExportTraceServiceResponse()


@pytest.mark.parametrize("coding", ["gzip, zstd", "br"])
def test_compression__unknown_or_several_codings_are_415(receiver: Receiver, coding: str) -> None:
    assert over_http(receiver, b"", JSON, content_encoding=coding).http_status == 415


@every_transport
def test_throttling__overload_is_unavailable_with_a_delay_and_the_request_may_come_again(
    receiver: Receiver, module_store: TestStore, send: Send
) -> None:
    made = trace()
    receiver.fault = lambda bodies: [UnavailableError("the store is away", 3.0)] * len(bodies)
    outcome = send(receiver, made.SerializeToString())
    assert (outcome.code, outcome.http_status in {0, 503}, outcome.retry_seconds) == ("UNAVAILABLE", True, 3)
    receiver.fault = None
    assert send(receiver, made.SerializeToString()).code == "OK"
    trace_id = made.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    assert module_store.rows(f"SELECT count() AS spans FROM otel_traces WHERE TraceId = '{trace_id}'") == [{"spans": 3}]


def test_failures__a_failure_of_the_server_is_retryable_and_logged_whole(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(otlp_http, "to_protobuf", lambda *_: 1 / 0)
    outcome = over_http(receiver, b"{}", JSON)
    assert (outcome.code, outcome.http_status, outcome.retry_seconds) == ("UNAVAILABLE", 503, 5)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("service", ["logs.v1.LogsService", "metrics.v1.MetricsService", "profiles.v1development.ProfilesService"])
def test_signals__others_than_traces_are_unimplemented_over_grpc(receiver: Receiver, service: str) -> None:
    call: Any = receiver.channel.unary_unary(f"/opentelemetry.proto.collector.{service}/Export")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=60)
    outcome = _refused(caught.value)
    assert (outcome.code, "only traces" in outcome.status.message, outcome.retry_seconds) == ("UNIMPLEMENTED", True, None)


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics", "/v1development/profiles"])
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_signals__others_than_traces_are_404_over_http(receiver: Receiver, path: str, content_type: str) -> None:
    outcome = over_http(receiver, b"", content_type, path=path)
    assert (outcome.http_status, "only traces" in outcome.status.message) == (404, True)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_http__another_method_than_post_is_405_and_named(receiver: Receiver, method: str) -> None:
    code, answer, headers = receiver.post(b"", method=method)
    assert (code, headers["allow"], Status.FromString(answer).code) == (405, "POST", 12)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/protobuf2", "multipart/form-data; boundary=x"])
def test_http__another_content_type_is_415(receiver: Receiver, content_type: str) -> None:
    assert over_http(receiver, b"", content_type).http_status == 415


@pytest.mark.parametrize("parameter", ["; charset=utf-8", ";charset=UTF-8", " ; q=1"])
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON, JSON.upper()])
def test_http__parameters_and_case_of_the_content_type_do_not_matter(receiver: Receiver, content_type: str, parameter: str) -> None:
    body = b"{}" if content_type.lower() == JSON else b""
    code, _, headers = receiver.post(body, content_type=content_type + parameter)
    assert (code, headers["content-type"]) == (200, content_type.lower())


def test_json__a_success_is_an_empty_object_and_numbers_of_64_bits_are_strings(receiver: Receiver) -> None:
    assert receiver.post(b"{}", content_type=JSON)[1] == b"{}"
    bad = json.dumps(as_json(request([span(trace_id=b"x")]))).encode()
    assert json.loads(receiver.post(bad, content_type=JSON)[1])["partialSuccess"]["rejectedSpans"] == "1"


def test_json__the_same_request_in_both_encodings_is_stored_as_the_same(receiver: Receiver, module_store: TestStore) -> None:
    attributes = {"s": "é", "i": 2**62, "f": 0.1, "b": True, "y": b"\xff", "list": [1, "a"], "map": {"k": [None]}, "none": None, "nan": float("nan")}
    rows = []
    for send in (over_http, over_http_json):
        made = trace(attributes=attributes, start_ns=1_700_000_000_000_000_000)
        assert send(receiver, made.SerializeToString()).code == "OK"
        trace_id = made.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
        rows.append(
            module_store.rows(
                f"SELECT SpanName, SpanAttributes, ResourceAttributes, Timestamp FROM otel_traces WHERE TraceId = '{trace_id}' ORDER BY ALL"
            )
        )
    assert rows[0] == rows[1]


@every_transport
def test_concurrent_requests__many_calls_at_once_are_all_answered(receiver: Receiver, send: Send) -> None:
    with ThreadPoolExecutor(32) as clients:
        outcomes = list(clients.map(lambda _: send(receiver, trace().SerializeToString()), range(64)))
    assert {outcome.code for outcome in outcomes} == {"OK"}


class Raw:
    """A connection that speaks for itself."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, pattern: bytes) -> bytes:
        """Read until what came matches."""
        while not (found := re.search(pattern, self.received, re.DOTALL)):
            piece = self.socket.recv(65536)
            assert piece, f"closed after {self.received[-200:]!r}"
            self.received += piece
        self.received = self.received[found.end() :]
        return found.group()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


def test_http__a_chunked_body_is_read_to_its_end(receiver: Receiver) -> None:
    body = trace().SerializeToString()
    with Raw(receiver.http) as raw:
        raw.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in (body[:7], body[7:100], body[100:]):
            raw.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        raw.send(b"0\r\n\r\n")
        assert raw.until(rb"HTTP/1\.1 \d+.*?\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_http__a_chunked_body_without_end_is_refused_at_the_limit(receiver: Receiver) -> None:
    with Raw(receiver.http) as raw:
        raw.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(LIMIT // 2**16 + 1):
            raw.send(b"10000\r\n" + bytes(2**16) + b"\r\n")
        assert raw.until(rb"HTTP/1\.1 \d+.*?\r\n\r\n").startswith(b"HTTP/1.1 413")


def test_http__a_client_that_waits_for_100_continue_is_told_to_go_on(receiver: Receiver) -> None:
    body = trace().SerializeToString()
    with Raw(receiver.http) as raw:
        raw.send(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        raw.until(rb"HTTP/1\.1 100 Continue\r\n\r\n")
        raw.send(body)
        raw.until(rb"HTTP/1\.1 200")


def test_http__a_client_that_waits_for_100_continue_with_too_much_is_refused_before_it_sends(receiver: Receiver) -> None:
    with Raw(receiver.http) as raw:
        raw.send(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))
        assert raw.until(rb"HTTP/1\.1 \d+").endswith(b"413")


def test_http__version_1_0_is_answered_and_closed(receiver: Receiver) -> None:
    body = trace().SerializeToString()
    with Raw(receiver.http) as raw:
        raw.send(HEAD.replace(b"1.1", b"1.0") + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        raw.until(rb"HTTP/1\.[01] 200.*?\r\n\r\n")
        assert raw.socket.recv(1) == b""


def test_http__one_connection_serves_many_requests(receiver: Receiver) -> None:
    connection = http.client.HTTPConnection(receiver.http, timeout=30)
    for _ in range(5):
        connection.request("POST", "/v1/traces", trace().SerializeToString(), {"content-type": PROTOBUF})
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")
        connection.request("POST", "/v1/traces", b"garbage", {"content-type": PROTOBUF})
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (400, True)
    connection.close()


def test_http__pipelined_requests_are_answered_in_turn(receiver: Receiver) -> None:
    good, bad = trace().SerializeToString(), b"garbage"
    with Raw(receiver.http) as raw:
        for body in (good, bad, good):
            raw.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert [raw.until(rb"HTTP/1\.1 \d+").split()[1] for _ in range(3)] == [b"200", b"400", b"200"]


def test_keepalive__a_client_that_pings_often_is_answered_and_not_sent_away(receiver: Receiver) -> None:
    ping, acknowledged = (b"\x00\x00\x08\x06" + flags + b"\x00\x00\x00\x00" for flags in (b"\x00", b"\x01"))
    with Raw(receiver.grpc) as raw:
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        for number in range(20):
            payload = number.to_bytes(8, "big")
            raw.send(ping + payload)
            answer = raw.until(re.escape(acknowledged + payload) + b"|too_many_pings")
            assert answer == acknowledged + payload
