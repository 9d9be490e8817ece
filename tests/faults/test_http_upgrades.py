"""Requests that offer another protocol are handled as HTTP/1.1, with their bodies (RFC 9110, section 7.8)."""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest
from tests.support.certificates import Authority
from tests.support.receiver import Receiver
from tests.support.serve import Serve
from tests.support.spans import JSON, PROTOBUF, body_of, stored
from tests.support.store import TestStore

from spanhouse.exporter.access.tls import Certificates, TlsFiles

OFFERS = {
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
    "TLS": "Upgrade: TLS/1.0\r\nConnection: upgrade\r\n",
    "WebSocket": "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "several": "Upgrade: h2c\r\nConnection: upgrade\r\nupgrade: foo/2\r\n",
}
TAG = b'{"value": "good"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("upgrades")) as running:
        yield running


def framed(head: str, body: bytes, framing: str) -> bytes:
    """A request with a length, or in chunks of a few bytes."""
    if framing == "length":
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[at : at + 7] for at in range(0, len(body), 7)))
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"


def exchange(address: str, *pieces: bytes) -> list[bytes]:
    """Answers to what is sent piece by piece, a last request after it included, which has the answer ``404``."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        connection.sendall(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answers = connection.makefile("rb").read().split(b"HTTP/1.1 ")[1:]
    assert answers[-1].startswith(b"404 "), answers
    return answers[:-1]


@pytest.fixture(scope="module")
def sent(server: Serve) -> Mapping[tuple[str, str, str], tuple[str, bytes]]:
    """Name and answer of a span for each offer, encoding and framing. They are sent together: an insert takes the store most of a second."""
    made = {}
    for offer, content_type, framing in product(OFFERS, [PROTOBUF, JSON], ["length", "chunked"]):
        name = secrets.token_hex(8)
        head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\n{OFFERS[offer]}Content-Type: {content_type}\r\n"
        (answer,) = exchange(server.http, framed(head, body_of(name, content_type), framing))
        made[offer, content_type, framing] = name, answer
    return made


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_spans_sent_with_an_offer_are_stored(
    server: Serve, sent: Mapping[tuple[str, str, str], tuple[str, bytes]], offer: str, content_type: str, framing: str
) -> None:
    name, answer = sent[offer, content_type, framing]
    assert answer.startswith(b"200 ")
    assert stored(server, name) == 1


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_query_sent_with_an_offer_is_answered(server: Serve, offer: str, framing: str) -> None:
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{OFFERS[offer]}"
    (answer,) = exchange(server.clickhouse_http, framed(head, b"SELECT 7", framing))
    assert answer.startswith(b"200 ")
    assert answer.partition(b"\r\n\r\n")[2] == b"7\n"


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_tag_sent_with_an_offer_is_set(server: Serve, offer: str, framing: str) -> None:
    path = f"/api/v1/traces/tr-{secrets.token_hex(16)}/tags/verdict"
    head = f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{OFFERS[offer]}Content-Type: application/json\r\n"
    (answer,) = exchange(server.console, framed(head, TAG, framing))
    assert answer.startswith(b"200 ")
    assert b'"value": "good"' in answer


@pytest.mark.parametrize("listener", ["http", "clickhouse_http", "console"])
@pytest.mark.parametrize("offer", OFFERS)
def test_the_body_of_a_request_with_an_offer_is_not_the_next_request(server: Serve, listener: str, offer: str) -> None:
    hidden = b"GET /?query=SELECT%20'smuggled' HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{OFFERS[offer]}Content-Type: {PROTOBUF}\r\n"
    (answer,) = exchange(getattr(server, listener), framed(head, hidden, "length"))
    assert b"smuggled\n" not in answer


@pytest.mark.parametrize("offer", OFFERS)
def test_requests_with_offers_may_come_byte_by_byte_and_one_after_another(server: Serve, offer: str) -> None:
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{OFFERS[offer]}"
    requests = framed(head, b"SELECT 1", "length") + framed(head, b"SELECT 2", "chunked") + framed(head.replace("POST", "GET"), b"", "length")
    whole = exchange(server.clickhouse_http, requests)
    split = exchange(server.clickhouse_http, *(requests[at : at + 1] for at in range(len(requests))))
    for answers in (whole, split):
        assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [b"1\n", b"2\n", b"Ok.\n"]


def test_a_tunnel_is_refused_and_what_follows_it_is_not_read(server: Serve) -> None:
    host, port = server.clickhouse_http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_is_cut_off_is_no_empty_one(server: Serve) -> None:
    name = secrets.token_hex(8)
    body = body_of(name, PROTOBUF)
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\n{OFFERS['h2c']}Content-Type: {PROTOBUF}\r\n"
    host, port = server.http.rsplit(":", 1)
    for came in (b"", body[:-1]):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(framed(head, body, "length")[: -len(body)] + came)
            connection.shutdown(socket.SHUT_WR)
            assert b"200 OK" not in connection.makefile("rb").read()
    assert stored(server, name) == 0


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_spans_sent_with_an_offer_over_tls_are_stored(tmp_path: Path, framing: str) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.file))
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\nContent-Type: {PROTOBUF}\r\n"
    store = TestStore()
    with Receiver(store, certificates=Certificates.read(TlsFiles(*authority.issue("server")))) as receiver:
        host, port = receiver.http.rsplit(":", 1)
        with context.wrap_socket(socket.create_connection((host, int(port)), timeout=30), server_hostname=host) as connection:
            connection.sendall(framed(head, body_of("over TLS", PROTOBUF), framing))
            assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
        assert [row["SpanName"] for row in store.rows("SELECT SpanName FROM otel_traces")] == ["over TLS"]
    store.close()
