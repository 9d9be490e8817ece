"""Hostile and broken clients harm neither other clients nor the server."""

from __future__ import annotations

import gc
import gzip
import http.client
import signal
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.support.certificates import Authority
from tests.support.otlp import request, span, trace
from tests.support.receiver import EXPORT, Receiver
from tests.support.serve import Serve
from tests.support.store import TestStore

from spanhouse.exporter.access.tls import Certificates, TlsFiles
from spanhouse.exporter.access.tokens import Tokens
from spanhouse.exporter.errors import InvalidRequestError, UnavailableError
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.writer import Batch, Writer
from spanhouse.exporter.transport import http_protocol
from spanhouse.exporter.transport.grpc_intake import GrpcIntake


@pytest.fixture
def receiver(store: TestStore) -> Iterator[Receiver]:
    with Receiver(store) as running:
        yield running


@pytest.fixture(scope="module")
def shared(module_store: TestStore) -> Iterator[Receiver]:
    with Receiver(module_store) as running:
        yield running


def names(store: TestStore) -> set[str]:
    return {row["SpanName"] for row in store.rows("SELECT SpanName FROM otel_traces")}


def connected(address: str) -> socket.socket:
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def test_every_member_of_a_gzip_body_is_stored(receiver: Receiver, store: TestStore) -> None:
    body = gzip.compress(request([span("first")]).SerializeToString()) + gzip.compress(request([span("second")]).SerializeToString())
    assert receiver.post(body, content_encoding="gzip")[0] == 200
    assert names(store) == {"first", "second"}


def test_what_follows_a_gzip_body_and_is_none_is_refused(receiver: Receiver, store: TestStore) -> None:
    assert receiver.post(gzip.compress(request([span()]).SerializeToString()) + b"garbage", content_encoding="gzip")[0] == 400
    assert names(store) == set()


@pytest.mark.parametrize(
    "field",
    [
        b"\x50\x80\x80\x80\x80\x80\x80\x40",  # dropped_attributes_count = 2^48
        b"\x30\x82\x80\x80\x80\x80\x80\x40",  # kind = 2^48 + 2
        b"\x4a\x07\x0a\x01b\x12\x02\x10\x05",  # a bool attribute of 5
    ],
)
def test_numbers_that_only_protobuf_libraries_take_are_repaired_and_cost_no_neighbour(receiver: Receiver, store: TestStore, field: bytes) -> None:
    odd = span("odd").SerializeToString() + field
    spans = b"\x12" + _length(odd) + odd
    scope = b"\x12" + _length(spans) + spans
    body = b"\x0a" + _length(scope) + scope
    good = [request([span(f"good {number}")]).SerializeToString() for number in range(5)]
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(receiver.export, [body, *good]))
    assert answers == [b""] * 6
    assert names(store) == {"odd", *(f"good {number}" for number in range(5))}


def _length(data: bytes) -> bytes:
    number, made = len(data), b""
    while number >= 0x80:
        made += bytes([number & 0x7F | 0x80])
        number >>= 7
    return made + bytes([number])


def test_an_error_that_nobody_knows_blames_the_request_if_the_store_takes_others(store: TestStore) -> None:
    class Refusing:
        everything = False
        query = store.client.query

        def raw_insert(self, _: str, *, insert_block: bytes, **__: object) -> None:
            if self.everything or b"poison" in insert_block:
                error = DatabaseError("Code: 4711. unheard of")
                error.code = 4711
                raise error

    batch = Batch.of([CheckedRequest(request([span(name)]).SerializeToString(), 1) for name in ("a", "poison", "b", "c")])
    client = Refusing()
    outcomes = Writer(client, SeenRequests()).insert(batch)  # type: ignore[arg-type]
    assert [type(outcome) for outcome in outcomes] == [type(None), InvalidRequestError, type(None), type(None)]
    client.everything = True
    outcomes = Writer(client, SeenRequests()).insert(batch)  # type: ignore[arg-type]
    assert {type(outcome) for outcome in outcomes} == {UnavailableError}


def test_a_head_without_end_is_cut_off(shared: Receiver) -> None:
    with connected(shared.http) as stranger:
        stranger.sendall(b"POST /v1/traces HTTP/1.1\r\nX: ")
        with pytest.raises(ConnectionError):
            stranger.sendall(b"a" * 2**26)
    assert shared.post(trace().SerializeToString())[0] == 200


def test_unpacked_bodies_that_never_end_are_bounded_together(module_store: TestStore) -> None:
    packed = gzip.compress(bytes(900_000))
    with Receiver(module_store, budget_bytes=2_000_000) as receiver:
        strangers = []
        for _ in range(2):
            stranger = connected(receiver.http)
            head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            head += f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
            stranger.sendall(head.encode() + packed[:-1])
            strangers.append(stranger)
        deadline = time.monotonic() + 30
        while receiver.budget.used_bytes < 1_700_000:
            assert time.monotonic() < deadline
        status, _, headers = receiver.post(packed, content_encoding="gzip")
        assert (status, headers["retry-after"]) == (503, "1")
        for stranger in strangers:
            stranger.close()
        while receiver.budget.used_bytes:
            assert time.monotonic() < deadline
        assert receiver.post(trace().SerializeToString())[0] == 200


def test_clients_that_stall_hold_no_place_of_the_clickhouse_endpoint_and_delay_no_stop(tmp_path: Path) -> None:
    with Serve(tmp_path) as serve:
        strangers = [connected(serve.clickhouse_http) for _ in range(80)] + [connected(serve.http)]
        for stranger in strangers:
            stranger.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nS")
        connection = http.client.HTTPConnection(serve.clickhouse_http, timeout=30)
        connection.request("POST", "/", "SELECT 1")
        assert connection.getresponse().read() == b"1\n"
        connection.close()
        assert serve.stop(signal.SIGTERM) == 0
        assert "Traceback" not in serve.log.read_text()
        for stranger in strangers:
            stranger.close()


def test_what_is_on_its_way_when_the_server_stops_is_to_come_again(tmp_path: Path) -> None:
    with Serve(tmp_path) as serve, connected(serve.http) as body:
        body.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
        message = Stalled(serve.grpc)
        message.arrives()
        assert http_status(serve.http, "/livez") == 200, "the body has arrived as well"
        assert serve.stop(signal.SIGTERM) == 0
        answer = body.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert b'{"code": 14, "message": "the request did not arrive in time; try again"' in answer
        assert (message.code(), message.call.details()) == (grpc.StatusCode.UNAVAILABLE, "the request did not arrive in time; try again")
        message.close()


def http_status(address: str, path: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("offer", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"], ids=["plain", "with an offer of HTTP/2"])
@pytest.mark.parametrize("came", [b"", b"1"], ids=["nothing", "a part"])
def test_a_body_that_is_late_is_to_come_again(shared: Receiver, monkeypatch: pytest.MonkeyPatch, offer: bytes, came: bytes) -> None:
    monkeypatch.setattr(shared._http._app, "_seconds", 0.1)
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 10\r\n"
    with connected(shared.http) as stranger:
        stranger.sendall(head + offer + b"\r\n" + came)
        answer = stranger.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in answer


def test_a_body_that_comes_in_one_piece_with_its_head_is_no_head(receiver: Receiver, store: TestStore) -> None:
    body = request([span("large", attributes={"text": "x" * 300_000})]).SerializeToString()
    with connected(receiver.http) as client:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    assert names(store) == {"large"}


def ends(connection: socket.socket, trickle: bytes = b"") -> bool:
    """Tell whether the server ends the connection, which sends a byte now and then."""
    connection.settimeout(0.02)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            connection.send(trickle)
            if connection.recv(1000) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


@pytest.mark.parametrize(
    "first", [b"", b"POST /v1/traces HT", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HT"], ids=["nothing", "half", "second"]
)
def test_a_head_that_trickles_is_cut_off(shared: Receiver, monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    with connected(shared.http) as stranger:
        stranger.sendall(first)
        assert ends(stranger, b"a" if first else b"")


def test_who_asks_and_never_reads_is_cut_off(shared: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_UNREAD_SECONDS", 0.2)
    with connected(shared.http) as stranger, pytest.raises(ConnectionError):
        stranger.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000_000)
    assert shared.post(trace().SerializeToString())[0] == 200


def test_connections_are_bounded_and_those_that_go_make_place(module_store: TestStore) -> None:
    with Receiver(module_store, max_connections=3) as receiver:
        strangers = [connected(receiver.http) for _ in range(3)]
        with connected(receiver.http) as one_too_many:
            assert ends(one_too_many)
        strangers.pop().close()
        deadline = time.monotonic() + 30
        while not served(receiver):
            assert time.monotonic() < deadline
        for stranger in strangers:
            stranger.close()


def served(receiver: Receiver) -> bool:
    try:
        return receiver.post(trace().SerializeToString())[0] == 200
    except (http.client.HTTPException, ConnectionError):
        return False


def test_grpc_connections_are_bounded(module_store: TestStore) -> None:
    with Receiver(module_store, max_connections=3) as receiver:
        strangers = [connected(receiver.grpc) for _ in range(3)]
        with connected(receiver.grpc) as one_too_many:
            assert ends(one_too_many)
        for stranger in strangers:
            stranger.close()
        deadline = time.monotonic() + 30
        while True:
            try:
                receiver.export(trace().SerializeToString())
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline


class Stalled:
    """A gRPC client whose message does not come."""

    def __init__(self, address: str) -> None:
        self._end = threading.Event()
        self._channel = grpc.insecure_channel(address)
        export: grpc.StreamUnaryMultiCallable[bytes, bytes] = self._channel.stream_unary(EXPORT)
        self.call: Any = export.future(self._message(), timeout=60)

    def _message(self) -> Iterator[bytes]:
        self._end.wait()
        yield b""

    def arrives(self) -> None:
        """Return when the server knows of the call: it has answered another one of the same connection that came after it."""
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary("/grpc.health.v1.Health/Check")
        check(b"", timeout=30)

    def code(self) -> grpc.StatusCode:
        """Status with which the server ended the call."""
        code: grpc.StatusCode = self.call.code()
        return code

    def close(self) -> None:
        self._end.set()
        self._channel.close()


def test_grpc_messages_that_do_not_come_hold_their_place_only_while_nobody_wants_it(receiver: Receiver, store: TestStore) -> None:
    receiver._grpc._intake = GrpcIntake(2**30, at_once=2, seconds_when_others_wait=0.05)
    strangers = [Stalled(receiver.grpc) for _ in range(4)]
    for number in range(3):
        receiver.export(request([span(f"honest {number}")]).SerializeToString())
    assert names(store) == {"honest 0", "honest 1", "honest 2"}
    ended = [stranger for stranger in strangers if stranger.call.done()]
    assert len(ended) >= 2
    assert {stranger.code() for stranger in ended} == {grpc.StatusCode.UNAVAILABLE}
    for stranger in strangers:
        stranger.close()


def test_a_grpc_message_that_does_not_come_ends_with_its_time(shared: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared._grpc, "_intake", GrpcIntake(2**30, at_once=2, seconds=0.1))
    stranger = Stalled(shared.grpc)
    assert stranger.code() is grpc.StatusCode.UNAVAILABLE
    stranger.close()


def test_a_grpc_message_of_an_unknown_sender_is_not_waited_for(module_store: TestStore) -> None:
    with Receiver(module_store, tokens=Tokens({})) as receiver:
        stranger = Stalled(receiver.grpc)
        assert stranger.code() is grpc.StatusCode.UNAUTHENTICATED
        stranger.close()


def test_grpc_messages_under_way_are_bounded_together_with_http_bodies(module_store: TestStore) -> None:
    def large(name: str) -> bytes:
        return request([span(name, attributes={"text": "x" * 700_000})]).SerializeToString()

    with Receiver(module_store, budget_bytes=1_000_000) as receiver, ThreadPoolExecutor(1) as clients:
        release = threading.Event()
        receiver.fault = lambda bodies: (release.wait(30), [None for _ in bodies])[1]
        first = clients.submit(receiver.export, large("first"))
        deadline = time.monotonic() + 30
        while not receiver.inserts:
            assert time.monotonic() < deadline
        with pytest.raises(grpc.RpcError) as caught:
            receiver.export(large("second"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert receiver.post(large("third"))[0] == 503
        release.set()
        assert first.result(30) == b""
        assert receiver.export(large("fourth")) == b""
        assert receiver.budget.used_bytes == 0


def test_a_refused_grpc_message_is_let_go_without_the_help_of_the_garbage_collector(shared: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is collected rarely, and a message may have 64 MiB."""

    class Message:
        pass

    held: list[weakref.ref[Message]] = []

    class Refusing:
        async def export(self, _: bytes) -> None:
            message = Message()
            held.append(weakref.ref(message))
            try:
                int("not OTLP")
            except ValueError as error:
                raise InvalidRequestError("not OTLP") from error

    monkeypatch.setattr(shared._grpc, "_service", Refusing())
    gc.disable()
    try:
        for _ in range(3):
            with pytest.raises(grpc.RpcError):
                shared.export(b"")
        deadline = time.monotonic() + 30
        while any(message() for message in held):
            assert time.monotonic() < deadline
    finally:
        gc.enable()
    assert len(held) == 3


def test_handshakes_that_stall_are_counted_and_cut_off(module_store: TestStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    with Receiver(module_store, certificates=Certificates.read(TlsFiles(*authority.issue("server"))), max_connections=2) as receiver:
        strangers = [connected(receiver.http) for _ in range(2)]
        with connected(receiver.http) as one_too_many:
            assert ends(one_too_many)
        for stranger in strangers:
            stranger.close()
        context = ssl.create_default_context(cafile=str(authority.file))
        deadline = time.monotonic() + 30
        while not alive(receiver, context):
            assert time.monotonic() < deadline
        monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
        with connected(receiver.http) as stranger:
            assert ends(stranger)
        assert alive(receiver, context)


def alive(receiver: Receiver, context: ssl.SSLContext) -> bool:
    connection = http.client.HTTPSConnection(receiver.http, timeout=30, context=context)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
