"""Small requests that would become large ones, and large ones that do not end, take the memory of what is allowed, and no more."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import grpc
import pytest
import zstandard
from tests.support.half_message import HalfMessage
from tests.support.memory import within
from tests.support.mutation import field
from tests.support.otlp import trace
from tests.support.receiver import EXPORT
from tests.support.serve import Serve

MEMORY_BAR = 600 * 2**20
UNPACKED = 200 * 2**20
LARGE, SENT = 63 * 2**20, 60 * 2**20
STRANGERS = 24
PROTOBUF, JSON = "application/x-protobuf", "application/json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("bombs")) as running:
        assert post(running, trace().SerializeToString()) == 200
        yield running


def post(server: Serve, body: bytes, **headers: str) -> int:
    connection = http.client.HTTPConnection(server.http, timeout=120)
    named = {"content-type": PROTOBUF} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/v1/traces", body, named)
    status = connection.getresponse().status
    connection.close()
    return status


@contextmanager
def within_memory(server: Serve) -> Iterator[None]:
    """The server stays within its memory, and takes requests afterwards."""
    with within(server.process.pid, MEMORY_BAR):
        yield
    assert post(server, trace().SerializeToString()) == 200


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", PACKERS)
def test_packed_bombs_over_http(server: Serve, coding: str) -> None:
    bomb = PACKERS[coding](bytes(UNPACKED))
    with within_memory(server), ThreadPoolExecutor(8) as strangers:
        answers = set(strangers.map(lambda _: post(server, bomb, content_encoding=coding), range(8)))
    assert answers <= {413, 503}
    assert 413 in answers


def test_packed_bombs_over_grpc(server: Serve) -> None:
    options = [("grpc.max_send_message_length", -1)]
    with within_memory(server), grpc.insecure_channel(server.grpc, options=options) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            with pytest.raises(grpc.RpcError) as caught:
                call(bytes(UNPACKED), compression=compression, timeout=120)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


BOMBS: dict[str, tuple[str, bytes, int]] = {
    "spans of nothing": (PROTOBUF, field(1, field(2, field(2, b"") * 2**24)), 413),
    "attributes of nothing": (PROTOBUF, field(1, field(1, field(1, b"") * 2**24)), 413),
    "elements of nothing": (PROTOBUF, field(1, field(1, field(1, b"\x0a\x01k" + field(2, field(5, field(1, b"") * 2**24))))), 413),
    "events of few bytes": (PROTOBUF, field(1, field(2, field(2, field(11, field(2, b"eleven bytes")) * 2**20))), 200),
    "arrays in JSON": (JSON, b'{"x":[' + b"[]," * 2**23 + b"0]}", 413),
    "objects in JSON": (JSON, b'{"x":[' + b'{"a":0},' * 2**21 + b"0]}", 413),
    "a long text in JSON": (JSON, json.dumps({"x": "\U0001f600" * 2**20}, ensure_ascii=False).encode() + b" " * 2**23, 200),
}


@pytest.mark.parametrize("name", BOMBS)
def test_requests_of_countless_small_things(server: Serve, name: str) -> None:
    content_type, body, answer = BOMBS[name]
    with within_memory(server), ThreadPoolExecutor(4) as strangers:
        answers = set(strangers.map(lambda _: post(server, body, content_type=content_type), range(4)))
    # Several at once may be more than fits, which is told as something to try again.
    assert answers <= {answer, 503}


def test_large_grpc_messages_that_stall(server: Serve) -> None:
    strangers = [HalfMessage(server.grpc, LARGE) for _ in range(STRANGERS)]
    with within_memory(server), ThreadPoolExecutor(STRANGERS) as senders:
        list(senders.map(lambda stranger: stranger.send(SENT), strangers))
        with grpc.insecure_channel(server.grpc) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            assert call(trace().SerializeToString(), timeout=60) == b""
    for stranger in strangers:
        stranger.close()


def test_large_http_bodies_that_stall(server: Serve) -> None:
    host, port = server.http.rsplit(":", 1)
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {LARGE}\r\n\r\n".encode()

    def send(stranger: socket.socket) -> None:
        with suppress(OSError):  # as for those that do not fit
            stranger.sendall(head + bytes(SENT))

    strangers = [socket.create_connection((host, int(port)), timeout=120) for _ in range(STRANGERS)]
    with within_memory(server), ThreadPoolExecutor(STRANGERS) as senders:
        list(senders.map(send, strangers))
        for stranger in strangers:
            stranger.close()
