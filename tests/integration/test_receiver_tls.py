"""OTLP over TLS, with the exporters that applications use, and with certificates of clients."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.certificates import Authority
from tests.support.otlp import request, span
from tests.support.receiver import Receiver
from tests.support.serve import Serve
from tests.support.store import TestStore
from tests.support.tokens import token_file

from spanhouse.exporter.access.tls import Certificates, TlsFiles
from spanhouse.query import TraceClient


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def no_other_ca(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests, under the exporter over HTTP, takes these of its surroundings before the CA that it is given."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(module_store: TestStore) -> TestStore:
    module_store.execute("TRUNCATE TABLE otel_traces")
    return module_store


@pytest.fixture
def certificates(authority: Authority) -> Certificates:
    return Certificates.read(TlsFiles(*authority.issue("server")))


@pytest.fixture
def receiver(store: TestStore, certificates: Certificates) -> Iterator[Receiver]:
    with Receiver(store, certificates=certificates) as running:
        yield running


@pytest.fixture
def mutual(store: TestStore, authority: Authority) -> Iterator[Receiver]:
    """Takes clients with a certificate of the authority only."""
    with Receiver(store, certificates=Certificates.read(TlsFiles(*authority.issue("server"), authority.file))) as running:
        yield running


def a_span(name: str) -> ReadableSpan:
    made = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    provider.get_tracer("tests").start_span(name).end()
    provider.shutdown()
    return made.get_finished_spans()[0]


def names(store: TestStore) -> set[str]:
    return {row["SpanName"] for row in store.rows("SELECT SpanName FROM otel_traces")}


Exporter = Callable[..., SpanExporter]
_REFUSED = 1
"""Seconds for which an exporter tries what can't succeed."""


def over_grpc(receiver: Receiver, ca: Path, client: tuple[Path, Path] | None = None, *, seconds: float = 30) -> SpanExporter:
    chain, key = (client[0].read_bytes(), client[1].read_bytes()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), key, chain)
    return GrpcExporter(endpoint=f"https://{receiver.grpc}", credentials=credentials, timeout=seconds)


def over_http(receiver: Receiver, ca: Path, client: tuple[Path, Path] | None = None, *, seconds: float = 30) -> SpanExporter:
    chain, key = (str(client[0]), str(client[1])) if client else (None, None)
    endpoint = f"https://{receiver.http}/v1/traces"
    return HttpExporter(endpoint=endpoint, certificate_file=str(ca), client_certificate_file=chain, client_key_file=key, timeout=seconds)


both = pytest.mark.parametrize("exporter", [over_grpc, over_http])


def sent(exporter: SpanExporter, name: str) -> SpanExportResult:
    try:
        return exporter.export([a_span(name)])
    finally:
        exporter.shutdown()


def without_tls(address: str) -> bytes:
    """Response to a client that speaks plain HTTP."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            return connection.recv(1000)
        except ConnectionError:
            return b""


@both
def test_python_s_exporters_send_over_tls(receiver: Receiver, store: TestStore, authority: Authority, exporter: Exporter) -> None:
    assert sent(exporter(receiver, authority.file), "over tls") is SpanExportResult.SUCCESS
    assert names(store) == {"over tls"}


@both
def test_an_exporter_that_trusts_another_ca_sends_nothing(
    receiver: Receiver, store: TestStore, tmp_path: Path, exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert sent(exporter(receiver, Authority(tmp_path).file, seconds=_REFUSED), "unsure") is SpanExportResult.FAILURE
    assert names(store) == set()


@both
def test_exporters_with_a_client_certificate_are_let_in(mutual: Receiver, store: TestStore, authority: Authority, exporter: Exporter) -> None:
    assert sent(exporter(mutual, authority.file, authority.issue("client", identity="app@example.com")), "known") is SpanExportResult.SUCCESS
    assert names(store) == {"known"}


@both
@pytest.mark.parametrize("stranger", [False, True], ids=["no certificate", "a certificate of another CA"])
def test_exporters_without_a_certificate_of_the_named_ca_are_refused(
    *, mutual: Receiver, store: TestStore, authority: Authority, tmp_path: Path, stranger: bool, exporter: Exporter
) -> None:
    client = Authority(tmp_path).issue("stranger", identity="app@example.com") if stranger else None
    assert sent(exporter(mutual, authority.file, client, seconds=_REFUSED), "unknown") is SpanExportResult.FAILURE
    assert names(store) == set()


def test_what_is_not_tls_fails_at_once_and_harms_nobody(receiver: Receiver, store: TestStore, authority: Authority) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        receiver.export(request([span()]).SerializeToString())  # its channel is a plain one
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert without_tls(receiver.http) == b""
    assert sent(over_http(receiver, authority.file), "after") is SpanExportResult.SUCCESS
    assert sent(over_grpc(receiver, authority.file), "after too") is SpanExportResult.SUCCESS
    assert names(store) == {"after", "after too"}


@pytest.mark.parametrize("transport", ["grpc", "http"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_older_than_1_2_is_refused(receiver: Receiver, authority: Authority, transport: str) -> None:
    host, port = getattr(receiver, transport).split(":")
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    for version, taken in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_1, version
        with socket.create_connection((host, int(port)), timeout=30) as plain:
            if taken:
                with context.wrap_socket(plain, server_hostname=host) as connection:
                    assert connection.version() == "TLSv1.2"
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    context.wrap_socket(plain, server_hostname=host)


@both
def test_certificates_are_renewed_without_a_restart(
    *, receiver: Receiver, store: TestStore, certificates: Certificates, authority: Authority, tmp_path: Path, exporter: Exporter
) -> None:
    assert sent(exporter(receiver, authority.file), "first") is SpanExportResult.SUCCESS
    other = Authority(tmp_path)
    for new, old in zip(other.issue("server"), authority.issue("server"), strict=True):
        old.write_bytes(new.read_bytes())
    certificates.reload()
    assert sent(exporter(receiver, other.file), "second") is SpanExportResult.SUCCESS
    assert sent(exporter(receiver, authority.file, seconds=_REFUSED), "third") is SpanExportResult.FAILURE
    assert names(store) == {"first", "second"}


def test_serve_takes_certificates_by_its_options_and_reads_them_again_on_sighup(authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue("serve")
    with Serve(tmp_path, "--tls-cert", str(chain), "--tls-key", str(key), "--log-level", "info") as serve:

        def shown() -> bytes:
            context = ssl.create_default_context(cafile=str(authority.file))
            host, port = serve.http.split(":")
            with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain, server_hostname=host) as connection:
                return connection.getpeercert(binary_form=True) or b""

        def post(name: str) -> int:
            context = ssl.create_default_context(cafile=str(authority.file))
            connection = http.client.HTTPSConnection(serve.http, timeout=60, context=context)
            body = request([span(name)]).SerializeToString()
            connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
            status = connection.getresponse().status
            connection.close()
            return status

        former = shown()
        assert post("over tls") == 200
        # On this machine the endpoint for queries speaks without, so that clients find it and need no certificate.
        serve.drained()
        found = TraceClient(serve.dsn).search_traces(filter_string="name = 'over tls'")
        assert len(found) == 1
        authority.issue("serve")
        serve.process.send_signal(signal.SIGHUP)
        serve.logged("certificates reloaded")
        assert shown() != former
        assert post("after") == 200


def test_queries_from_beyond_this_machine_go_over_tls_with_a_token(authority: Authority, tmp_path: Path) -> None:
    chain, key = authority.issue("queries")
    tokens = token_file(tmp_path / "tokens", "reader")
    options = ["--tls-cert", str(chain), "--tls-key", str(key), "--token-file", str(tokens), "--clickhouse-http", "0.0.0.0:0"]
    with Serve(tmp_path, *options) as serve:
        address = f"127.0.0.1:{serve.clickhouse_http.rpartition(':')[2]}"
        assert len(TraceClient(f"https://any:reader@{address}/default?ca_cert={authority.file}").search_traces()) == 0
        assert without_tls(address) == b""


def test_a_mistake_in_the_files_ends_serve_with_one_line(authority: Authority, tmp_path: Path) -> None:
    chain, _ = authority.issue("a")
    _, key = authority.issue("b")
    env = {**os.environ, "SPANHOUSE_DATA_DIR": str(tmp_path), "SPANHOUSE_TLS_CERT": str(chain), "SPANHOUSE_TLS_KEY": str(key)}
    done = subprocess.run([sys.executable, "-m", "spanhouse.cli", "serve"], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == f"spanhouse: --tls-cert {chain} with --tls-key {key}: the key is not the one of this certificate\n"
