"""Strangers on the HTTP listeners: what they send takes bounded memory, which goes back, and none keeps a connection after its answer."""

from __future__ import annotations

import gzip
import http.client
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from tests.support.certificates import Authority
from tests.support.memory import anonymous_bytes, falls_to, within
from tests.support.receiver import Receiver
from tests.support.serve import Serve
from tests.support.store import TestStore
from tests.support.tokens import token_file

from spanhouse.exporter.access.tls import Certificates, TlsFiles
from spanhouse.exporter.clickhouse_http import compressed_blocks
from spanhouse.exporter.transport import http_protocol

MEMORY_BAR = 600 * 2**20
SMALL = 64 * 2**20
"""More than noise, less than any of the attacks would take."""
RETURNED = 128 * 2**20
"""The engine keeps some of this after its first long statement."""
LISTENERS = {"http": "/v1/traces", "clickhouse_http": "/", "console": "/api/v1/traces/tr-0123456789abcdef0123456789abcdef/tags/verdict"}
METHODS = {"http": "POST", "clickhouse_http": "POST", "console": "PUT"}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A server that asks for tokens, of which strangers have none."""
    directory = tmp_path_factory.mktemp("guarded")
    with Serve(directory, "--token-file", str(token_file(directory / "tokens", "secret"))) as running:
        yield running


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A server without tokens."""
    with Serve(tmp_path_factory.mktemp("open")) as running:
        yield running


def connected(server: Serve, listener: str) -> socket.socket:
    host, port = getattr(server, listener).rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=60)


def head(listener: str, *fields: str) -> bytes:
    lines = [f"{METHODS[listener]} {LISTENERS[listener]} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def flood(stranger: socket.socket, piece: bytes, pieces: int) -> int:
    """Send the same again and again, until the server ends the connection; how often."""
    for number in range(pieces):
        try:
            stranger.sendall(piece)
        except ConnectionError:
            return number
    return pieces


ENDLESS = {
    "fields of a trailer": (("Transfer-Encoding: chunked",), b"0\r\n", (b"X: " + b"a" * 1000 + b"\r\n") * 64),
    "small fields of a trailer": (("Transfer-Encoding: chunked",), b"0\r\n", b"a:\r\n" * 16_384),
    "a field of a trailer": (("Transfer-Encoding: chunked",), b"0\r\nX: ", b"a" * 65_536),
    "an extension of a chunk": (("Transfer-Encoding: chunked",), b"1;", b"a" * 65_536),
    "requests at once": ((), b"", b"GET / HTTP/1.1\r\n\r\n" * 3640),
}


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("endless", ENDLESS)
def test_what_has_no_end_and_is_no_body_is_cut_off(guarded: Serve, listener: str, endless: str) -> None:
    fields, begin, piece = ENDLESS[endless]
    before = anonymous_bytes(guarded.process.pid)
    with within(guarded.process.pid, before + SMALL), connected(guarded, listener) as stranger:
        stranger.sendall(head(listener, *fields) + begin)
        assert flood(stranger, piece, 1024) < 256
    assert is_alive(guarded)


def is_alive(server: Serve) -> bool:
    connection = http.client.HTTPConnection(server.http, timeout=60)
    connection.request("GET", "/livez")
    status = connection.getresponse().status
    connection.close()
    return status == 200


@pytest.mark.parametrize("listener", LISTENERS)
def test_heads_of_many_small_fields_from_many_strangers_take_bounded_memory(guarded: Serve, listener: str) -> None:
    unfinished = f"GET {LISTENERS[listener]} HTTP/1.1\r\n".encode() + b"a:\r\n" * 20_000
    with within(guarded.process.pid, MEMORY_BAR), ExitStack() as stack:
        for stranger in [stack.enter_context(connected(guarded, listener)) for _ in range(400)]:
            with suppress(ConnectionError):
                stranger.sendall(unfinished)
        assert is_alive(guarded)


def ends(connection: socket.socket, trickle: bytes, seconds: float = 30) -> bool:
    """Tell whether the server ends the connection, which sends something now and then."""
    connection.settimeout(0.05)
    deadline = time.monotonic() + seconds
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


def test_no_trickle_after_the_answer_keeps_a_connection(guarded: Serve) -> None:
    framings = {"Content-Length: 100000": b"1", "Transfer-Encoding: chunked": b"1\r\na\r\n", "Content-Length: 0": b"\r\n"}
    cases = [(listener, framing) for listener in LISTENERS for framing in framings]

    def is_ended(case: tuple[str, str]) -> bool:
        listener, framing = case
        with connected(guarded, listener) as stranger:
            stranger.sendall(head(listener, framing))
            assert stranger.recv(1000).startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 403 "))
            return ends(stranger, framings[framing])

    with ThreadPoolExecutor(len(cases)) as strangers:
        ended = dict(zip(cases, strangers.map(is_ended, cases), strict=True))
    assert all(ended.values()), ended


def test_a_client_that_sends_all_of_a_body_is_told_why_it_was_refused_and_may_go_on(guarded: Serve) -> None:
    connection = http.client.HTTPConnection(guarded.http, timeout=60)
    for _ in range(3):
        connection.request("POST", "/v1/traces", bytes(2**25), {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        assert answer.status == 401
        answer.read()
    connection.close()


def test_over_tls_trailers_and_bodies_after_the_answer_are_limited_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "_REST_SECONDS", 0.2)
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.file))
    store = TestStore()
    with Receiver(store, certificates=Certificates.read(TlsFiles(*authority.issue("server")))) as receiver:
        host, port = receiver.http.rsplit(":", 1)

        def connect() -> ssl.SSLSocket:
            return context.wrap_socket(socket.create_connection((host, int(port)), timeout=60), server_hostname=host)

        with connect() as stranger:
            stranger.sendall(head("http", "Transfer-Encoding: chunked") + b"0\r\n")
            with suppress(ssl.SSLError):
                assert flood(stranger, (b"X: " + b"a" * 1000 + b"\r\n") * 64, 1024) < 256
        with connect() as stranger:
            stranger.sendall(b"POST /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            with suppress(ssl.SSLError):
                assert ends(stranger, b"a")
    store.close()


@contextmanager
def bounded_and_given_back(server: Serve) -> Iterator[None]:
    """Check the memory of a server within the block, and that it falls to about what it was."""
    assert select(server, b"SELECT 1") == (200, b"1\n")
    before = anonymous_bytes(server.process.pid)
    with within(server.process.pid, MEMORY_BAR):
        yield
    falls_to(server.process.pid, before + RETURNED)
    assert select(server, b"SELECT 1") == (200, b"1\n")


def select(server: Serve, body: bytes, path: str = "/", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.clickhouse_http, timeout=120)
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=b"])
def test_unfinished_bodies_of_queries_take_bounded_memory(open_: Serve, content_type: str) -> None:
    begun = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {63 << 20}\r\n\r\n".encode()

    def send(stranger: socket.socket) -> None:
        with suppress(OSError):  # as for those that do not fit
            stranger.sendall(begun + bytes(60 << 20))

    with bounded_and_given_back(open_), ExitStack() as stack, ThreadPoolExecutor(45) as senders:
        list(senders.map(send, [stack.enter_context(connected(open_, "clickhouse_http")) for _ in range(45)]))


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=b"])
@pytest.mark.parametrize("coding", PACKERS)
def test_small_queries_that_unpack_to_large_ones_take_bounded_memory(open_: Serve, coding: str, content_type: str) -> None:
    bomb = PACKERS[coding](b" " * (63 << 20))
    with bounded_and_given_back(open_), ThreadPoolExecutor(24) as strangers:
        answers = set(strangers.map(lambda _: select(open_, bomb, content_encoding=coding, content_type=content_type)[0], range(24)))
    assert answers <= {413, 503}


def test_forms_as_large_as_they_may_be_take_bounded_memory(open_: Serve) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    form = part % (b"query", b"SELECT length({p:String})") + part % (b"param_p", b"x" * (7 << 20)) + b"--b--\r\n"
    packed = gzip.compress(form)
    headers = {"content_encoding": "gzip", "content_type": "multipart/form-data; boundary=b"}
    with bounded_and_given_back(open_), ThreadPoolExecutor(24) as strangers:
        answers = list(strangers.map(lambda _: select(open_, packed, **headers)[0], range(24)))
    assert 503 in answers, answers


def test_small_blocks_that_unpack_to_large_ones_take_bounded_memory(open_: Serve) -> None:
    bomb = compressed_blocks.compress(b" " * (63 << 20))
    with bounded_and_given_back(open_), ThreadPoolExecutor(24) as strangers:
        answers = set(strangers.map(lambda _: select(open_, bomb, "/?decompress=1")[0], range(24)))
    assert answers <= {413, 503}


def test_unfinished_bodies_of_edits_take_bounded_memory(open_: Serve) -> None:
    begun = head("console", "Content-Length: 131072") + b'{"value": "' + b"x" * 130_000
    with bounded_and_given_back(open_), ExitStack() as stack:
        for stranger in [stack.enter_context(connected(open_, "console")) for _ in range(500)]:
            stranger.sendall(begun)


def test_memory_of_large_requests_for_storage_goes_back(open_: Serve) -> None:
    with bounded_and_given_back(open_), ThreadPoolExecutor(8) as strangers:

        def post(_: int) -> int:
            connection = http.client.HTTPConnection(open_.http, timeout=120)
            connection.request("POST", "/v1/traces", b"\xff" * (60 << 20), {"Content-Type": "application/x-protobuf"})
            status = connection.getresponse().status
            connection.close()
            return status

        assert set(strangers.map(post, range(8))) <= {400, 503}
